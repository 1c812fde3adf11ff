package snstest

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
	none        faultKind = iota
	failCall              // answered with an error, not served
	failMessage           // a message of a batch is not accepted
	dropCall              // the connection is closed, not served
	dropAnswer            // served, then the connection is closed
)

// fault is a failure that the next calls meet.
type fault struct {
	kind  faultKind
	times int // still to come
	err   apiError
	of    func(Message) bool // failMessage: which; nil is any
}

// FailCalls makes the next n calls fail with an HTTP status and an error code, unserved.
func (s *Server) FailCalls(n, status int, code string) {
	s.inject(&fault{kind: failCall, times: n, err: apiError{status, code, "injected failure"}})
}

// FailMessages makes the next n messages of batches for which of holds (nil is any) be
// refused, while the call itself succeeds. It is the sender's fault where the status is below
// 500.
func (s *Server) FailMessages(n, status int, code string, of func(Message) bool) {
	s.inject(&fault{kind: failMessage, times: n, err: apiError{status, code, "injected failure"}, of: of})
}

// DropCalls makes the next n calls end with a closed connection, unserved.
func (s *Server) DropCalls(n int) { s.inject(&fault{kind: dropCall, times: n}) }

// DropAnswers makes the next n calls end with a closed connection after they were served: the
// client cannot know that they were.
func (s *Server) DropAnswers(n int) { s.inject(&fault{kind: dropAnswer, times: n}) }

// Heal ends all failures.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// OnCall has f called at the start of every call, before any failure, with the name of the
// action; nil ends that. The call goes on when f returns, so f is where latency comes from.
// Its context ends with the client's connection and with the server.
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
	return s.next(func(f *fault) bool { return f.kind != failMessage })
}

// meetMessage tells how a message fails, nil if it does not. The lock is held.
func (s *Server) meetMessage(m Message) *apiError {
	met := s.next(func(f *fault) bool { return f.kind == failMessage && (f.of == nil || f.of(m)) })
	if met.kind == none {
		return nil
	}
	return &met.err
}

// next uses up one time of the first failure that is one of these.
func (s *Server) next(is func(*fault) bool) fault {
	for i, f := range s.faults {
		if !is(f) {
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
