package ingest

import "time"

// dependency is a part that every message needs. While one of them fails for all,
// trying message after message would only wear out their delivery counts.
type dependency int

const (
	api   dependency = iota // the CAS API
	token                   // the token endpoint
	sink                    // the log
	dependencies
)

func (d dependency) String() string { return [...]string{"api", "token", "log"}[d] }

// Pauses grow from First, doubling, to Most.
type Pauses struct {
	First, Most time.Duration
}

// at is the pause after the nth failure, n from 1.
func (p Pauses) at(n int) time.Duration {
	d := p.First
	for ; n > 1 && d < p.Most; n-- {
		d *= 2
	}
	return min(d, p.Most)
}

// breaker decides whether messages may be received. It is pure: time comes as an
// argument. Each dependency has its own streak of failures, because the API answers well
// while the log is down. A detail counts once in its streak, however often it fails, so
// that a single poisoned one opens nothing; the token endpoint and the log are one
// thing each, so every failure of theirs counts. Any other answer of a dependency
// ends its streak. Where messages are few there may be no other detail to count. Then one
// opens it when its message would have to be given up although the API has answered
// nothing at all since that message first came.
//
// While it is open one message at a time is let through as a probe, in growing
// pauses.
type breaker struct {
	limit  int // failures in a row that open it
	pauses Pauses

	details    map[string]struct{} // the URLs in the API's streak
	streak     [dependencies]int   // failures in a row
	lastAnswer time.Time           // of the API; zero: never
	open       bool
	probing    bool      // a probe is under way
	failed     int       // probes in a row that failed, and the failures that opened it as one
	next       time.Time // when the next probe may go
}

func newBreaker(limit int, pauses Pauses) breaker {
	return breaker{limit: limit, pauses: pauses, details: map[string]struct{}{}}
}

// fail records that d failed for everyone, as far as can be told; detail is the URL
// where d is the API. It reports whether this opened the breaker.
func (b *breaker) fail(now time.Time, d dependency, detail string) bool {
	if d == api {
		if len(b.details) < b.limit {
			b.details[detail] = struct{}{}
		}
		b.streak[api] = max(b.streak[api], len(b.details))
	} else {
		b.streak[d]++
	}
	return b.streak[d] >= b.limit && b.trip(now)
}

// lastDeliveryFailed records that the API failed for a message at its last delivery, which first
// came at the time given. Unless the API has answered anything since, as far as can be
// told it is down and not the detail bad. It reports whether this opened the breaker.
func (b *breaker) lastDeliveryFailed(now, first time.Time) bool {
	if b.lastAnswer.After(first) {
		return false
	}
	b.streak[api] = b.limit
	return b.trip(now)
}

// trip opens the breaker; false if it is open already.
func (b *breaker) trip(now time.Time) bool {
	if b.open {
		return false
	}
	b.open, b.failed, b.probing = true, 1, false
	b.next = now.Add(b.pauses.at(1))
	return true
}

// answer records that d answered, well or not. It reports whether this closed the
// breaker.
func (b *breaker) answer(now time.Time, d dependency) bool {
	if d == api {
		b.lastAnswer = now
	}
	if b.streak[d] == 0 {
		return false
	}
	b.streak[d] = 0
	if d == api {
		clear(b.details)
	}
	if !b.open {
		return false
	}
	for _, failures := range b.streak {
		if failures >= b.limit {
			return false
		}
	}
	b.open = false
	return true
}

// probe lets a probe through if one is due.
func (b *breaker) probe(now time.Time) bool {
	if !b.open || b.probing || now.Before(b.next) {
		return false
	}
	b.probing = true
	return true
}

// probed records how the probe ended. One that met no failure, a message that was
// rejected unread for instance, says nothing: the next may follow at once.
func (b *breaker) probed(now time.Time, failed bool) {
	b.probing = false
	if !b.open || !failed {
		return
	}
	b.failed++
	b.next = now.Add(b.pauses.at(b.failed))
}

// why names the dependencies that keep the breaker open.
func (b *breaker) why() []string {
	var names []string
	for d, failures := range b.streak {
		if failures >= b.limit {
			names = append(names, dependency(d).String())
		}
	}
	return names
}
