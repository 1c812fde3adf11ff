package sqstest

// Requests about queues, and their answers. Field names are those on the wire.
type (
	nameRequest struct {
		QueueName  string
		Attributes map[string]string // CreateQueue only; optional
	}
	queueRequest struct {
		QueueURL       string            `json:"QueueUrl"`
		AttributeNames []string          // GetQueueAttributes only; optional
		Attributes     map[string]string // SetQueueAttributes only
	}
	listRequest struct {
		QueueNamePrefix string // optional
	}
	urlAnswer struct {
		QueueURL string `json:"QueueUrl"`
	}
	listAnswer struct {
		QueueUrls []string `json:",omitempty"`
	}
	attributesAnswer struct {
		Attributes map[string]string `json:",omitempty"`
	}
	emptyAnswer struct{}
)

// Requests about messages, and their answers.
type (
	sendRequest struct {
		QueueURL string `json:"QueueUrl"`
		outgoing
	}
	sendBatchRequest struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []sendEntry
	}
	sendEntry struct {
		ID string `json:"Id"`
		outgoing
	}
	// outgoing is a message as it is sent. The last four are not supported.
	outgoing struct {
		MessageBody             string
		MessageAttributes       map[string]attribute
		DelaySeconds            int
		MessageGroupID          string `json:"MessageGroupId"`
		MessageDeduplicationID  string `json:"MessageDeduplicationId"`
		MessageSystemAttributes map[string]attribute
	}
	sent struct {
		ID                     string `json:"Id,omitempty"` // of a batch's entry
		MessageID              string `json:"MessageId"`
		MD5OfMessageBody       string
		MD5OfMessageAttributes string `json:",omitempty"`
	}

	receiveRequest struct {
		QueueURL                    string `json:"QueueUrl"`
		MaxNumberOfMessages         *int
		VisibilityTimeout           *int // that of the queue if absent
		WaitTimeSeconds             *int // that of the queue if absent
		AttributeNames              []string
		MessageSystemAttributeNames []string
		MessageAttributeNames       []string
	}
	receiveAnswer struct {
		Messages []incoming `json:",omitempty"`
	}
	incoming struct {
		MessageID              string `json:"MessageId"`
		ReceiptHandle          string
		MD5OfBody              string
		Body                   string
		Attributes             map[string]string    `json:",omitempty"`
		MD5OfMessageAttributes string               `json:",omitempty"`
		MessageAttributes      map[string]attribute `json:",omitempty"`
	}

	// receiptRequest deletes a message or changes its visibility.
	receiptRequest struct {
		QueueURL string `json:"QueueUrl"`
		receiptEntry
	}
	receiptBatchRequest struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []receiptEntry
	}
	receiptEntry struct {
		ID                string `json:"Id"` // batches only
		ReceiptHandle     string
		VisibilityTimeout *int // changes of visibility only
	}

	batchAnswer[T any] struct {
		Successful []T
		Failed     []failed
	}
	entryDone struct {
		ID string `json:"Id"`
	}
	failed struct {
		ID          string `json:"Id"`
		SenderFault bool
		Code        string
		Message     string
	}
)
