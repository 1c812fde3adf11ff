package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"casdelius/ingest"
)

const (
	// maxBatch is how many messages SQS takes or gives in one call.
	maxBatch = 10

	// longPoll is the longest that SQS waits for a message to arrive.
	longPoll = 20 * time.Second

	// maxVisibility is SQS's limit on visibility, counted from a message's delivery.
	maxVisibility = 12 * time.Hour

	// visibilityMargin is kept from maxVisibility, because the delivery is timed here
	// when it arrives and by SQS when it left.
	visibilityMargin = 5 * time.Second

	// callTimeout is how long a call with the SDK's own retries may take, beyond a long
	// poll, before SQS counts as unavailable.
	callTimeout = 15 * time.Second

	// entryTries is how often an entry of a batch is tried that SQS itself fails.
	entryTries = 3
)

// Config says which queue, and how to treat it. Only Queue is required.
type Config struct {
	Queue string           // its name, or its URL
	Pause time.Duration    // before failed entries of a batch are tried again; 100 ms if 0
	Now   func() time.Time // the clock by which the 12 h are measured; time.Now if nil
}

// Queue is a queue at SQS. It is safe for concurrent use.
type Queue struct {
	client *sqs.Client
	cfg    Config

	mu  sync.Mutex
	url string // "" until the name is looked up
}

var _ ingest.Queue = (*Queue)(nil)

// Open makes a queue from the AWS SDK's own configuration: its environment variables,
// shared files and the role of the machine. It does not talk to SQS.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	sdk, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	var regionErr error
	if sdk.Region == "" {
		regionErr = errors.New("AWS_REGION is not set: give the region of the queue")
	}
	if err := errors.Join(cfg.Validate(), regionErr); err != nil {
		return nil, err
	}
	return New(sqs.NewFromConfig(sdk), cfg)
}

// queueName is what SQS takes for a name.
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}(\.fifo)?$`)

// Validate names all that is wrong.
func (c Config) Validate() error {
	var faults []error
	switch {
	case c.Queue == "":
		faults = append(faults, errors.New("MESSAGING_CONSUMER_QUEUE is not set: give the queue's name or URL"))
	case c.byURL():
		if u, err := url.Parse(c.Queue); err != nil || u.Host == "" || u.User != nil {
			faults = append(faults, errors.New("MESSAGING_CONSUMER_QUEUE is no URL of a queue: want https://host/account/name without a user")) // it may hold a password
		}
	case !queueName.MatchString(c.Queue):
		faults = append(faults, fmt.Errorf("MESSAGING_CONSUMER_QUEUE is %q: want the queue's name or URL", c.Queue))
	}
	if c.Pause < 0 {
		faults = append(faults, fmt.Errorf("the pause of %v before failed entries are tried again is negative", c.Pause))
	}
	return errors.Join(faults...)
}

// byURL says whether the queue is given by its URL.
func (c Config) byURL() bool {
	return strings.HasPrefix(c.Queue, "https://") || strings.HasPrefix(c.Queue, "http://")
}

// New makes a queue over a client, of which it takes the options. It does not talk to
// SQS.
func New(client *sqs.Client, cfg Config) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Pause == 0 {
		cfg.Pause = 100 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	q := &Queue{client: sqs.New(client.Options(), withReadOnly), cfg: cfg}
	if cfg.byURL() {
		q.url = cfg.Queue
	}
	return q, nil
}

// locate is the queue's URL, looked up once if the queue is given by name. A failed
// look-up is forgotten.
func (q *Queue) locate(ctx context.Context) (*string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.url != "" {
		return &q.url, nil
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.client.GetQueueUrl(limited, &sqs.GetQueueUrlInput{QueueName: &q.cfg.Queue})
	if err != nil {
		return nil, translate(ctx, fmt.Sprintf("look up the queue %q", q.cfg.Queue), err)
	}
	q.url = deref(out.QueueUrl)
	return &q.url, nil
}

// do makes one call to SQS within its time limit and translates its errors.
func (q *Queue) do(ctx context.Context, what string, limit time.Duration, call func(context.Context, *string) error) error {
	url, err := q.locate(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := call(limited, url); err != nil {
		return translate(ctx, what+" queue "+q.cfg.Queue, err)
	}
	return nil
}
