package store

// RejectedAsk is what somebody asks ingest to do with a rejected message. To ask twice changes
// nothing more.
type RejectedAsk struct {
	Sequence uint64 `json:"sequence"` // of the rejected message
	Dismiss  bool   `json:"dismiss"`  // it is of no use to anybody; else it is replayed
	Who      string `json:"who"`
	Why      string `json:"why"`
}

// RejectedAnswer is what ingest has done about it.
type RejectedAnswer struct {
	Done    bool   `json:"done"`
	Outcome string `json:"outcome"` // for a person; what was in the way, where it is not done
}

// AskSubject is where ingest listens for what it is asked. No stream keeps it: whoever asks asks
// again where no answer comes.
const AskSubject = "cas.ask.rejected"

// Mark is what somebody made of a rejected message.
type Mark struct {
	Dismissed bool // it is of no use to anybody; else it was replayed
	Who, Why  string
}
