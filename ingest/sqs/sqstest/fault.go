package sqstest

import (
	"context"
	"math"
	"slices"
)

// Always makes a failure last until [Server.Heal].
const Always = math.MaxInt

// faultKind says how calls fail.
type faultKind int

const (
	none       faultKind = iota
	failCall             // answered with an error, not served
	failEntry            // an entry of a batch is not served
	dropCall             // the connection is closed, not served
	dropAnswer           // served, then the connection is closed
)

// fault is a failure that the next calls of an action meet.
type fault struct {
	kind   faultKind
	action string
	times  int // still to come
	err    *apiError
	sender bool // failEntry: it is called the sender's fault
}

// FailCalls makes the next n calls of an action ("ReceiveMessage", "" for any) fail
// with an HTTP status and an error code, unserved. Failures that are asked for
// together are met in that order.
func (s *Server) FailCalls(action string, n, status int, code string) {
	s.inject(&fault{kind: failCall, action: action, times: n, err: &apiError{status, code, "injected failure"}})
}

// FailEntries makes the next n entries of a batch action ("DeleteMessageBatch", say)
// fail, unserved, while the call itself succeeds. It is the sender's fault if a client
// shall not try again.
func (s *Server) FailEntries(action string, n int, code string, sendersFault bool) {
	s.inject(&fault{kind: failEntry, action: action, times: n, err: &apiError{0, code, "injected failure"}, sender: sendersFault})
}

// DropCalls makes the next n calls of an action ("" for any) end with a closed
// connection, unserved.
func (s *Server) DropCalls(action string, n int) {
	s.inject(&fault{kind: dropCall, action: action, times: n})
}

// DropAnswers makes the next n calls of an action ("" for any) end with a closed
// connection after they were served: the client cannot know that they were.
func (s *Server) DropAnswers(action string, n int) {
	s.inject(&fault{kind: dropAnswer, action: action, times: n})
}

// Heal ends all failures.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// OnCall has f called at the start of every call, before any failure, with the name of
// the action; nil ends that. The call goes on when f returns, so f is where latency
// comes from. Its context ends with the client's connection and with the server.
func (s *Server) OnCall(f func(ctx context.Context, action string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onCall = f
}

func (s *Server) inject(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// meet counts a call and tells what failure it meets.
func (s *Server) meet(ctx context.Context, action string) fault {
	s.mu.Lock()
	s.calls[action]++
	onCall := s.onCall
	s.mu.Unlock()
	if onCall != nil {
		onCall(ctx, action)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next(action, failCall, dropCall, dropAnswer)
}

// meetEntry tells how an entry of a batch fails, nil if it does not.
func (s *Server) meetEntry(action string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.next(action, failEntry); f.kind != none {
		return &f
	}
	return nil
}

// next uses up one time of the first failure of these kinds for an action.
func (s *Server) next(action string, kinds ...faultKind) fault {
	for i, f := range s.faults {
		if f.action != "" && f.action != action || !slices.Contains(kinds, f.kind) {
			continue
		}
		if f.times != Always {
			f.times--
		}
		met := *f
		if f.times <= 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return met
	}
	return fault{}
}
