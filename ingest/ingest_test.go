package ingest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
)

func TestEveryNotificationBecomesAnEventWithItsDetailAsServed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	sent := p.send(t, 300)
	p.start(t, hurried())
	p.drained(t)
	stored := p.stored(t)
	require.Equal(t, ids(sent), ids(stored))
	for id, e := range sent {
		got := stored[id]
		require.Equal(t, e.body, got.Body)
		require.Equal(t, e.referral, got.Referral)
		require.Equal(t, store.PersonArrived, got.Type)
		require.Equal(t, store.CRN("X123456"), got.CRN)
		require.Equal(t, store.NOMS("A1234BC"), got.NOMS)
		require.Equal(t, e.url, got.Source)
		require.False(t, got.Received.IsZero())
		require.False(t, got.Received.After(got.Stored))
	}
	require.Empty(t, p.rejected(t))
	require.Equal(t, 1, p.api.TokenRequests())
}

func TestARedeliveredNotificationIsStoredOnce(t *testing.T) {
	t.Parallel()
	p := setup(t)
	e := p.event()
	for range 20 {
		p.put(t, e.message)
	}
	p.start(t, hurried())
	p.drained(t)
	info, err := p.log.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Messages)
}

func TestD10ADetailThatIsMissingForAWhileIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := setup(t)
	e := p.event()
	p.api.Fail(e.url, casapitest.Fault{Status: 404, Times: 7}) // seven pauses in production are 127 s
	p.put(t, e.message)
	p.start(t, hurried())
	p.drainedInTime(t)
	require.Contains(t, p.stored(t), e.id)
	require.Empty(t, p.rejected(t))
	require.Equal(t, 8, p.api.Requests(e.url))
}

func TestADetailThatNeverComesIsRejectedBeforeTheQueueGivesItUp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	missing, refused, broken, fine := p.event(), p.event(), p.event(), p.event()
	p.api.Fail(missing.url, casapitest.Fault{Status: 404})
	p.api.Fail(refused.url, casapitest.Fault{Status: 403})
	p.api.Fail(broken.url, casapitest.Fault{Status: 500})
	for _, e := range []sent{missing, refused, broken, fine} {
		p.put(t, e.message)
	}
	p.start(t, hurried())
	p.drainedInTime(t)
	require.Equal(t, []string{fine.id}, ids(p.stored(t)))
	rejected := p.rejected(t)
	require.Len(t, rejected, 3)
	require.Equal(t, store.DetailNotFound, rejected[missing.message].Reason)
	require.Equal(t, store.DetailRefused, rejected[refused.message].Reason)
	require.Equal(t, store.DetailRefused, rejected[broken.message].Reason)
	require.Equal(t, 10, rejected[missing.message].ReceiveCount)
}

func TestPoisonIsRejectedWholeWithItsReason(t *testing.T) {
	t.Parallel()
	p := setup(t)
	fine := p.event()
	p.put(t, fine.message)
	poison := map[string]store.Reason{
		"not JSON":              store.Malformed,
		`{"eventType":"a.b.c"}`: store.Malformed,
	}
	notify := func(reason store.Reason, old, replacement string) {
		changed := strings.ReplaceAll(p.event().message, old, replacement)
		poison[changed] = reason
	}
	notify(store.UnsupportedVersion, `version\":1`, `version\":2`)
	notify(store.NotCAS, `accommodation.cas3.person.arrived\"`, `prison-offender-events.prisoner.released\"`)
	notify(store.NoDetailURL, "detailUrl", "detailURL")
	notify(store.ForbiddenURL, p.api.URL(), "http://elsewhere.example")
	serve := func(reason store.Reason, body string) {
		e := p.event()
		p.api.Put(e.url, []byte(body))
		poison[strings.ReplaceAll(e.message, "X123456", "none")] = reason
	}
	serve(store.DetailTooLarge, strings.Repeat(" ", 512<<10+1))
	serve(store.DetailTooLarge, `{"id":"1","eventDetails":{"notes":"`+strings.Repeat("x", 512<<10)+`"}}`)
	serve(store.DetailInvalid, `{"id":"1","eventDetails":{},"id":"\n"}`)
	serve(store.DetailInvalid, `{"id":"1","timestamp":"0001-01-01T00:00:00Z","eventDetails":{}}`)
	serve(store.DetailInvalid, `{"id":"1","eventDetails":{},"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`)
	serve(store.NoReferral, `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":{}}`)
	serve(store.NoPerson, strings.NewReplacer("X123456", "", "A1234BC", "Unknown NOMS Number").Replace(string(fine.body)))
	for body := range poison {
		p.put(t, body)
	}
	p.start(t, hurried())
	p.drained(t)
	require.Equal(t, []string{fine.id}, ids(p.stored(t)))
	rejected := p.rejected(t)
	require.Equal(t, ids(poison), ids(rejected))
	for body, reason := range poison {
		require.Equal(t, reason, rejected[body].Reason, "%s: %s", body, rejected[body].Problem)
		require.NotEmpty(t, rejected[body].Problem)
	}
}

func TestAPageWithStatus200DrainsNoMessageIntoTheRejected(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"short": "<html>Back soon</html>",
		"long":  "<html>" + strings.Repeat("Back soon. ", 100_000),
		"none":  " ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			p.api.Fail("", casapitest.Fault{Body: []byte(page)})
			sent := p.send(t, 30)
			service, _ := p.startWith(t, hurried(), p.client)
			require.Eventually(t, func() bool { return service.Ready(t.Context()) != nil }, patience, time.Millisecond)
			probed := p.api.Requests("") + 20
			require.Eventually(t, func() bool { return p.api.Requests("") >= probed }, patience, time.Millisecond)
			require.Len(t, p.inQueue(t), len(sent))

			p.api.Fail("", casapitest.Fault{})
			p.drained(t)
			require.Equal(t, ids(sent), ids(p.stored(t)))
			require.Empty(t, p.rejected(t))
		})
	}
}

func TestADetailThatIsGarbledForEverIsRejectedWithItsAnswer(t *testing.T) {
	t.Parallel()
	p := setup(t)
	e, fine := p.event(), p.event()
	page := "<html>" + strings.Repeat("Back soon. ", 10_000)
	p.api.Fail(e.url, casapitest.Fault{Body: []byte(page)})
	p.put(t, e.message)
	p.put(t, fine.message)
	p.start(t, hurried())
	p.drainedInTime(t)
	require.Equal(t, []string{fine.id}, ids(p.stored(t)))
	rejected := p.rejected(t)[e.message]
	require.Equal(t, store.DetailInvalid, rejected.Reason)
	require.Equal(t, 10, rejected.ReceiveCount)
	require.Equal(t, page[:64<<10], string(rejected.Answer))
}

func TestADetailIsStoredAsReceivedHoweverOddItsJSONIs(t *testing.T) {
	t.Parallel()
	p := setup(t)
	sent := map[string][]byte{}
	for _, oddity := range []string{
		"\ufeff" + `{"id":"%s","timestamp":"2024-05-01T10:00:00Z","eventType":"a","eventType":"a","eventDetails":{"a":1,"a":2}}`,
		`{"id":7,"timestamp":null,"eventDetails":[],"eventDetails":{"notes":"\ud800"},"timestamp":"2024-05-01T10:00:00Z","id":"%s"}`,
		`{"id":"%s","timestamp":"2024-05-01T10:00:00Z","eventDetails":{"personReference":[],"bookingId":7}}`,
	} {
		e := p.event()
		body := fmt.Appendf(nil, oddity, e.id)
		p.api.Put(e.url, body)
		p.put(t, strings.Replace(e.message, `{\"applicationId\":null}`, `{\"bookingId\":\"`+e.referral.String()+`\"}`, 1))
		sent[e.id] = body
	}
	p.start(t, hurried())
	p.drained(t)
	require.Empty(t, p.rejected(t))
	stored := p.stored(t)
	require.Equal(t, ids(sent), ids(stored))
	for id, body := range sent {
		require.Equal(t, body, stored[id].Body)
	}
}

func TestWhatTheLogFindsTooLargeIsNoOutage(t *testing.T) {
	t.Parallel()
	p := setup(t, 64<<10)
	var large []string
	for range 20 {
		e := p.event()
		p.api.Put(e.url, bytes.Replace(e.body, []byte("He arrived. "), bytes.Repeat([]byte("x"), 100_000), 1))
		p.put(t, e.message)
		large = append(large, e.message)
	}
	fine := p.send(t, 20)
	service, _ := p.startWith(t, hurried(), p.client)
	p.drained(t)
	require.Equal(t, ids(fine), ids(p.stored(t)))
	rejected := p.rejected(t)
	require.Len(t, rejected, len(large))
	for _, message := range large {
		require.Equal(t, store.DetailTooLarge, rejected[message].Reason)
	}
	require.NoError(t, service.Ready(t.Context()))
}

func TestWhatIsTooLargeForAnyPlaceIsDeadLettered(t *testing.T) {
	t.Parallel()
	p := setup(t, 64<<10)
	noise := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	p.put(t, base64.StdEncoding.EncodeToString(noise)) // no notification, and it cannot be compressed to fit
	service, _ := p.startWith(t, hurried(), p.client)
	require.Eventually(t, func() bool {
		p.sqs.Advance(time.Second)
		dead, err := p.sqs.Messages(deadLetters)
		return err == nil && len(dead) == 1
	}, patience, 20*time.Millisecond)
	require.NoError(t, service.Ready(t.Context()))
}

func TestAnOutageLeavesMessagesInTheQueueAndWearsOutNone(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct{ down, up func(*parts) }{
		"CAS API":         {func(p *parts) { p.api.Fail("", casapitest.Fault{Status: 503}) }, func(p *parts) { p.api.Fail("", casapitest.Fault{}) }},
		"token endpoint":  {func(p *parts) { p.api.FailTokens(casapitest.Fault{Status: 500}) }, func(p *parts) { p.api.FailTokens(casapitest.Fault{}) }},
		"bad credentials": {func(p *parts) { p.api.FailTokens(casapitest.Fault{Status: 401}) }, func(p *parts) { p.api.FailTokens(casapitest.Fault{}) }},
		"NATS":            {func(p *parts) { p.nats.Stop() }, func(p *parts) { _ = p.nats.Restart() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			fail.down(p)
			sent := p.send(t, 200)
			service, _ := p.startWith(t, hurried(), p.client)
			require.Eventually(t, func() bool { return service.Ready(t.Context()) != nil }, patience, time.Millisecond)
			calls := func() int { return p.api.Requests("") + p.api.TokenRequests() }
			probed := calls() + 20
			require.Eventually(t, func() bool { return calls() >= probed }, patience, time.Millisecond)

			received := 0
			for _, m := range p.inQueue(t) {
				require.LessOrEqual(t, m.ReceiveCount, 2)
				if m.ReceiveCount > 0 {
					received++
				}
			}
			require.LessOrEqual(t, received, 20)
			require.Len(t, p.inQueue(t), len(sent))
			depth, err := p.sqs.Depth(queueName)
			require.NoError(t, err)
			require.LessOrEqual(t, depth.InFlight, 10)

			fail.up(p)
			p.drained(t)
			require.Equal(t, ids(sent), ids(p.stored(t)))
			require.Empty(t, p.rejected(t))
			require.NoError(t, service.Ready(t.Context()))
		})
	}
}

func TestAnOutageOfTheQueueIsSurvived(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.sqs.FailCalls("GetQueueAttributes", 3, 500, "InternalError")
	p.sqs.FailCalls("ReceiveMessage", 5, 500, "InternalError")
	p.sqs.FailCalls("DeleteMessageBatch", 3, 500, "InternalError")
	p.sqs.DropAnswers("DeleteMessageBatch", 2)
	sent := p.send(t, 50)
	p.start(t, hurried())
	require.Eventually(t, func() bool {
		p.sqs.Advance(time.Second) // what could not be deleted is delivered again in the end
		return len(p.inQueue(t)) == 0
	}, patience, 10*time.Millisecond)
	require.Equal(t, ids(sent), ids(p.stored(t)))
}

func TestADeletionThatFailsForSomeLeavesThoseToBeDeliveredAgain(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.sqs.FailEntries("DeleteMessageBatch", 3, "InternalError", true)
	sent := p.send(t, 40)
	p.start(t, hurried())
	require.Eventually(t, func() bool { return len(p.inQueue(t)) == 3 }, patience, time.Millisecond)
	p.sqs.Advance(3 * time.Minute)
	p.drained(t)
	require.Equal(t, ids(sent), ids(p.stored(t)))
	info, err := p.log.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(sent), info.Messages)
}

func TestAStopUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	sent := p.send(t, 1500)
	malformed := 0
	for i := range 30 {
		p.put(t, strings.Repeat("x", i+1))
		malformed++
	}
	for stops := range 3 {
		var appended atomic.Int64
		p.sqs.OnCall(func(_ context.Context, action string) {
			if action == "DeleteMessageBatch" {
				appended.Add(1)
			}
		})
		stop := p.start(t, hurried())
		require.Eventually(t, func() bool { return appended.Load() > int64(5*(stops+1)) }, patience, time.Millisecond)
		stop()
		everywhere := map[string]bool{}
		for id := range p.stored(t) {
			everywhere[sent[id].message] = true
		}
		for body := range p.rejected(t) {
			everywhere[body] = true
		}
		for _, m := range p.inQueue(t) {
			everywhere[m.Body] = true
		}
		require.Len(t, everywhere, len(sent)+malformed)
	}
	p.sqs.Advance(3 * time.Minute)
	p.start(t, hurried())
	p.drained(t)
	require.Equal(t, ids(sent), ids(p.stored(t)))
	require.Len(t, p.rejected(t), malformed)
}

func TestAStopGivesBackWhatCannotBeFinished(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.api.Fail("", casapitest.Fault{Delay: time.Hour})
	sent := p.send(t, 5)
	cfg := hurried()
	cfg.Stop = 4 * time.Second
	stop := p.start(t, cfg)
	require.Eventually(t, func() bool { return p.api.Requests("") == len(sent) }, patience, time.Millisecond)
	stop()
	depth, err := p.sqs.Depth(queueName)
	require.NoError(t, err)
	require.Equal(t, sqstest.Depth{Visible: len(sent)}, depth)
}

func TestSlowWorkKeepsItsMessageHidden(t *testing.T) {
	t.Parallel()
	p := setup(t)
	release := make(chan struct{})
	slow := &gatedDetails{Details: p.client, release: release}
	e := p.event()
	p.put(t, e.message)
	cfg := hurried()
	cfg.Visibility = 3 * time.Second
	p.startWith(t, cfg, slow)
	require.Eventually(t, func() bool { return p.sqs.Calls("ChangeMessageVisibilityBatch") >= 4 }, patience, 10*time.Millisecond)
	require.Equal(t, 1, p.inQueue(t)[0].ReceiveCount, "it was never delivered again")
	close(release)
	p.drained(t)
}

// gatedDetails waits for release before it fetches.
type gatedDetails struct {
	ingest.Details
	release chan struct{}
}

func (g *gatedDetails) Fetch(ctx context.Context, url string) ([]byte, error) {
	select {
	case <-g.release:
		return g.Details.Fetch(ctx, url)
	case <-ctx.Done():
		return nil, errors.New("stopped")
	}
}
