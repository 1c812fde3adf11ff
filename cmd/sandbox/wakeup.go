package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// woken is the share of messages after which Delius raises a person event.
const woken = 0.03

// wakeUp is a person event of Delius. Nothing has changed there by itself: the projector
// looks again, and has to find nothing to do.
type wakeUp struct {
	kind   store.PersonType
	person storetest.Person
	id     string // the SNS message's
	twice  bool   // it is delivered a second time
}

// wake has Delius raise person events after some of the messages.
func (s *story) wake(seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 0x3a4e))
	kinds := store.PersonTypes()
	for i := range s.messages {
		if chance.Float64() >= woken {
			continue
		}
		m := &s.messages[i]
		w := &wakeUp{
			kind: kinds[chance.IntN(len(kinds))], person: storetest.Person{CRN: m.CRN, NOMS: m.NOMS},
			id: messageID(chance), twice: chance.IntN(4) == 0,
		}
		m.then = w
		s.wakeUps++
	}
}

// notification is what is published. A merge is one of somebody whom nobody has heard of.
func (w *wakeUp) notification(now time.Time) string {
	additional := `{"bookingNumber":"12345"}`
	switch w.kind {
	case store.MergeCompleted:
		additional = fmt.Sprintf(`{"sourceCRN":"Z000000","targetCRN":%q}`, w.person.CRN)
	case store.UnmergeCompleted:
		additional = fmt.Sprintf(`{"reactivatedCRN":"Z000000","unmergedCRN":%q}`, w.person.CRN)
	case store.PrisonIdentifierUpdated:
		additional = `{"previousNomsNumber":"Z0000ZZ"}`
	case store.PrisonIdentifierAdded:
	}
	return fmt.Sprintf(`{"eventType":%q,"version":1,"occurredAt":%q,"additionalInformation":%s,`+
		`"personReference":{"identifiers":[{"type":"CRN","value":%q},{"type":"NOMS","value":%q}]}}`,
		w.kind, now.Format(time.RFC3339Nano), additional, w.person.CRN, w.person.NOMS)
}

// sendWakeUp raises one person event.
func (p *post) sendWakeUp(w *wakeUp) error {
	now := time.Now()
	body := sqstest.EnvelopeSNS(w.notification(now), string(w.kind), w.id, now)
	deliveries := 1
	if w.twice {
		deliveries = 2
	}
	for range deliveries {
		if _, err := p.sqs.Send(queueName, body, nil); err != nil {
			return fmt.Errorf("send a person event about %s: %w", w.person.CRN, err)
		}
	}
	return nil
}
