package ingest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func unavailable(string) error {
	return &DetailError{Fault: DetailUnavailable, Err: errors.New("503")}
}

// poisoned fails for one detail only.
func poisoned(detail string) func(string) error {
	return func(url string) error {
		if url == detail {
			return unavailable(url)
		}
		return nil
	}
}

func TestAnOutageOfDaysWearsOutNoMessage(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func(*fake){
		"api": func(f *fake) { f.fetch = unavailable },
		"token": func(f *fake) {
			f.fetch = func(string) error { return &DetailError{Fault: TokenUnavailable, Err: errors.New("500")} }
		},
		"log": func(f *fake) { f.append = func() error { return ErrUnavailable } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			down(f)
			f.send(200)
			f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
				pass(11 * time.Hour)
				most, received := f.receives()
				require.LessOrEqual(t, most, 2, "at the start some go back before the breaker opens")
				require.LessOrEqual(t, received, 25)
				require.LessOrEqual(t, f.hiding, 10)
				require.ErrorContains(t, s.Ready(t.Context()), "fails")

				pass(36 * time.Hour)
				most, _ = f.receives()
				require.LessOrEqual(t, most, 6)
				require.LessOrEqual(t, f.hiding, 10)

				f.set(func(f *fake) { f.fetch, f.append = nil, nil })
				pass(16 * time.Minute)
				inQueue, stored, rejected := f.left()
				require.Zero(t, inQueue)
				require.Equal(t, 200, stored)
				require.Zero(t, rejected)
				require.NoError(t, s.Ready(t.Context()))
			})
		})
	}
}

func TestOneMessageAloneOutlastsAnOutageOfTheLog(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.append = func() error { return ErrUnavailable }
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(6 * time.Hour)
		most, _ := f.receives()
		require.Equal(t, 1, most, "it is kept in hand")
		f.set(func(f *fake) { f.append = nil })
		pass(16 * time.Minute)
		_, stored, _ := f.left()
		require.Equal(t, 1, stored)
	})
}

func TestAFewMessagesAloneOutlastAnOutageOfTheAPI(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{1, 2, 4} {
		f := newFake()
		f.fetch = unavailable
		f.send(messages)
		f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
			pass(9 * time.Hour)
			require.ErrorContains(t, s.Ready(t.Context()), "api fails")
			inQueue, _, rejected := f.left()
			require.Equal(t, messages, inQueue)
			require.Zero(t, rejected)
			f.set(func(f *fake) { f.fetch = nil })
			pass(16 * time.Minute)
			_, stored, _ := f.left()
			require.Equal(t, messages, stored)
			require.NoError(t, s.Ready(t.Context()))
		})
	}
}

func TestAPoisonedDetailIsRejectedOnceTheAPIAnswersAnybody(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = poisoned(detailURL(0))
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		pass(time.Hour)
		require.Error(t, s.Ready(t.Context()), "it may well be an outage")
		f.send(1)
		pass(20 * time.Minute)
		inQueue, stored, _ := f.left()
		require.Zero(t, inQueue)
		require.Equal(t, 1, stored)
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailRefused}, f.rejected)
		require.NoError(t, s.Ready(t.Context()))
	})
}

func TestAPoisonedDetailAmongFewOthersOpensNothing(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = poisoned(detailURL(0))
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		for range 4 {
			pass(3 * time.Minute)
			f.send(1)
			require.NoError(t, s.Ready(t.Context()))
		}
		pass(time.Minute)
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailRefused}, f.rejected)
	})
}

func TestTheQueuesLimitIsReadAgain(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.limits.MaxReceiveCount = 100
	f.fetch = func(string) error { return &DetailError{Fault: DetailNotFound, Err: errors.New("404")} }
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(2 * time.Hour)
		require.Empty(t, f.rejected)
		f.set(func(f *fake) { f.limits.MaxReceiveCount = 10 })
		pass(limitsAge + 15*time.Minute)
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailNotFound}, f.rejected)
	})
}

func TestMessagesThatComeInAnOutageAreProbedOneByOne(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = unavailable
	f.send(5)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Hour)
		f.send(1000)
		pass(time.Hour)
		_, received := f.receives()
		require.LessOrEqual(t, received, 10+8*10, "long polls that were under way may still bring some")
		require.LessOrEqual(t, f.hiding, 5+4*10)
	})
}

func TestAnOutageThatBeginsUnderLoadGivesBackAllButAFew(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.send(5000)
	cfg := DefaultConfig()
	f.fetch = func(string) error {
		if len(f.stored) > 2000 {
			return unavailable("")
		}
		return nil
	}
	f.run(t, cfg, func(t *testing.T, s *Service) {
		pass(10 * time.Second)
		_, inHand := s.gate.state()
		require.LessOrEqual(t, inHand, maxKept)
		inQueue, stored, _ := f.left()
		require.Equal(t, 5000, inQueue+stored)
		f.set(func(f *fake) { f.fetch = nil })
		pass(16 * time.Minute)
		inQueue, stored, rejected := f.left()
		require.Zero(t, inQueue)
		require.Zero(t, rejected)
		require.Equal(t, 5000, stored)
	})
}

func TestPoisonedDetailsAreNoOutage(t *testing.T) {
	t.Parallel()
	f := newFake()
	poisoned := []string{detailURL(0), detailURL(1), detailURL(2), detailURL(3), detailURL(4), detailURL(5), detailURL(6)}
	f.fetch = func(url string) error {
		if slices.Contains(poisoned, url) {
			return unavailable(url)
		}
		return nil
	}
	f.send(7) // they come first, open the breaker, and only others can close it
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		pass(10 * time.Minute)
		require.Error(t, s.Ready(t.Context()))
		f.send(300)
		pass(15 * time.Minute)
		_, stored, _ := f.left()
		require.Equal(t, 300, stored)

		for range 60 { // now and then a good one, as in life
			f.send(1)
			pass(time.Minute)
		}
		inQueue, stored, rejected := f.left()
		require.Zero(t, inQueue)
		require.Equal(t, 360, stored)
		require.Equal(t, len(poisoned), rejected)
	})
}

func TestAMissingDetailIsTriedInGrowingPausesThenRejected(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = func(string) error { return &DetailError{Fault: DetailNotFound, Err: errors.New("404")} }
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Hour)
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailNotFound}, f.rejected)
		var pauses []time.Duration
		times := f.fetched[detailURL(0)]
		for i := range times[1:] {
			pauses = append(pauses, times[i+1].Sub(times[i]).Round(time.Second))
		}
		s := time.Second
		require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s}, pauses)
	})
}

func TestD10AMinuteOfNotFoundIsWaitedForWhateverTheQueueAllows(t *testing.T) {
	t.Parallel()
	for _, deliveries := range []int{0, 2, 3, 5, 10, 100} {
		f := newFake()
		f.limits.MaxReceiveCount = deliveries
		f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
			began := time.Now()
			f.set(func(f *fake) {
				f.fetch = func(string) error {
					if time.Since(began) < time.Minute {
						return &DetailError{Fault: DetailNotFound, Err: errors.New("404")}
					}
					return nil
				}
			})
			f.send(1) // only now: the service is running already
			pass(time.Hour)
			_, stored, rejected := f.left()
			if deliveries == 2 {
				require.Equal(t, 1, rejected, "one pause of a second is all that such a queue allows")
				return
			}
			require.Equal(t, 1, stored, "%d deliveries", deliveries)
		})
	}
}

func TestARejectionThatFailsKeepsTheMessage(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = func(string) error { return &DetailError{Fault: URLForbidden, Err: errors.New("elsewhere")} }
	f.append = func() error { return ErrUnavailable }
	f.send(20)
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		pass(time.Hour)
		require.ErrorContains(t, s.Ready(t.Context()), "log")
		inQueue, _, rejected := f.left()
		require.Equal(t, 20, inQueue)
		require.Zero(t, rejected)
		f.set(func(f *fake) { f.append = nil })
		pass(16 * time.Minute)
		_, _, rejected = f.left()
		require.Equal(t, 20, rejected)
	})
}

func TestDeletionsTravelTogether(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.send(500)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Minute)
		total := 0
		for _, n := range f.deletes {
			require.LessOrEqual(t, n, batch)
			total += n
		}
		require.Equal(t, 500, total)
		require.LessOrEqual(t, len(f.deletes), 60)
	})
}

func TestAtItsLastDeliveryAMessageIsRejectedInsteadOfGivenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deliveries int
		after      time.Duration
		log        error
		rejected   int
	}{
		"when its visibility cannot be extended any longer": {1, 13 * time.Hour, nil, 1},
		"at a stop":                          {1, time.Hour, nil, 1},
		"but not with deliveries to spare":   {10, time.Hour, nil, 0},
		"nor from a queue that has no limit": {0, 11 * 12 * time.Hour, nil, 0},
		"nor where the log does not take it": {1, time.Hour, ErrUnavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.limits.MaxReceiveCount = c.deliveries
			f.fetch = func(string) error { return &DetailError{Fault: TokenUnavailable, Err: errors.New("500")} }
			f.append = func() error { return c.log }
			f.send(1)
			f.run(t, DefaultConfig(), func(*testing.T, *Service) { pass(c.after) })
			inQueue, _, rejected := f.left()
			require.Equal(t, c.rejected, rejected)
			require.Equal(t, 1-c.rejected, inQueue)
		})
	}
}

func TestAMaintenancePageIsAnOutage(t *testing.T) {
	t.Parallel()
	for name, page := range notDetails() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.page = func(string) []byte { return []byte(page) }
			f.send(30)
			f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
				pass(24 * time.Hour)
				require.ErrorContains(t, s.Ready(t.Context()), "api")
				f.set(func(f *fake) { f.page = nil })
				pass(20 * time.Minute)
				inQueue, stored, rejected := f.left()
				require.Zero(t, inQueue)
				require.Zero(t, rejected)
				require.Equal(t, 30, stored)
			})
		})
	}
}

// notDetails are answers that CAS would not give, by what they are.
func notDetails() map[string]string {
	return map[string]string{
		"a page":                 "<html><body>Back soon {[" + strings.Repeat("[", 100) + "</body></html>",
		"nothing":                "",
		"white space":            " \n",
		"a text":                 `"down for maintenance"`,
		"a list":                 `[{"id":"1","eventDetails":{}}]`,
		"null":                   "null",
		"a status":               `{"status":"DOWN"}`,
		"JSON that is cut off":   `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":{"bookingId":"`,
		"JSON and more":          `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":{}}<!-- cached -->`,
		"JSON without an id":     `{"timestamp":"2024-05-01T10:00:00Z","eventDetails":{}}`,
		"JSON without details":   `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":null}`,
		"bytes that are no text": `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":{"notes":"` + "\xff" + `"}}`,
	}
}

func TestOneDetailAloneThatIsGarbledOpensNothingAndIsRejectedInTheEndWithItsAnswer(t *testing.T) {
	t.Parallel()
	page := "<html>" + strings.Repeat("Back soon. ", 20_000)
	f := newFake()
	f.page = func(url string) []byte {
		if url == detailURL(0) {
			return []byte(page)
		}
		return nil
	}
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		for range 60 {
			pass(time.Minute)
			require.NoError(t, s.Ready(t.Context()))
		}
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailInvalid}, f.rejected)
		require.Equal(t, page[:64<<10], string(f.answers["message 0"]))
		require.Len(t, f.fetched[detailURL(0)], 10)
		f.send(3)
		pass(time.Second)
		_, stored, _ := f.left()
		require.Equal(t, 3, stored)
	})
}

func TestAGarbledDetailThatIsGivenBackAtItsLastDeliveryIsRejectedWithItsAnswer(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.limits.MaxReceiveCount = 1
	f.page = func(string) []byte { return []byte("<html>") }
	cfg := DefaultConfig()
	cfg.BreakerLimit = 1
	f.send(1)
	f.run(t, cfg, func(t *testing.T, s *Service) {
		pass(time.Hour)
		require.Error(t, s.Ready(t.Context()))
	})
	require.Equal(t, map[string]store.Reason{"message 0": store.DetailInvalid}, f.rejected)
	require.Equal(t, "<html>", string(f.answers["message 0"]))
}

func TestAURLThatIsNotAskedIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fetch = unavailable
	f.send(10)
	f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
		pass(time.Minute)
		require.Error(t, s.Ready(t.Context()))
		for _, url := range []string{"", strings.Repeat("x", maxURL+1)} {
			probe := &job{Message: Message{Received: time.Now()}, probe: true}
			probe.notification = Notification{Type: store.PersonArrived, DetailURL: url}
			_, err := s.store(t.Context(), probe)
			require.Equal(t, rejected, decide(err, circumstances{receives: 1, limit: 10}).outcome)
			require.Error(t, s.Ready(t.Context()), "the breaker stays open")
		}
	})
}

func TestTheServiceBeginsSoonAfterALongOutageOfTheQueue(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.send(1)
	f.limit = func() error { return ErrUnavailable }
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(5 * time.Hour)
		f.set(func(f *fake) { f.limit = nil })
		pass(mostReceivePause + time.Second)
		_, stored, _ := f.left()
		require.Equal(t, 1, stored)
	})
}

func TestAMessageInHandStaysHiddenThoughTheQueueFailsOnceAndIsSlow(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.append = func() error { return ErrUnavailable }
	failed := false
	f.hide = func() error {
		pause := time.NewTimer(settleTime - time.Second)
		<-pause.C
		if !failed {
			failed = true
			return ErrUnavailable
		}
		return nil
	}
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Second)
		f.send(1)
		pass(time.Hour + 10*time.Second) // no call is under way then: a bubble cannot wait for a mutex
		most, _ := f.receives()
		require.Equal(t, 1, most)
	})
}
