package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// woken is the share of messages after which Delius raises a person event.
const woken = 0.03

// wakeUp is a person event of Delius. But for merges nothing has changed there: the projector
// looks again, and has to find nothing to do.
type wakeUp struct {
	kind   store.PersonType
	person storetest.Person
	merged store.CRN // who is merged into the person right before; "" if nobody is
	id     string    // the SNS message's
	twice  bool      // it is delivered a second time
	made   bool      // the merge is in Delius already
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

// mergeSome has Delius merge people in the middle of everything, and the reference after it: when
// it happens must make no difference. They have the same kind of manager, whom contacts are
// entered under, and no practitioner pays either of them a visit. A NOMS number leads over no
// merge, so whoever is merged away has no referral that is named by that alone.
func (s *story) mergeSome(seed uint64, histories []storetest.History) {
	chance := rand.New(rand.NewPCG(seed, 0x3e46))
	visited := map[store.CRN]bool{}
	for _, v := range s.visits {
		visited[v.crn] = true
	}
	const every = 16
	apart := len(storetest.Regions())
	for n := 6; n+apart < len(s.people) && len(s.messages) > 0; n += every {
		source, target := s.people[n], s.people[n+apart]
		m := &s.messages[chance.IntN(len(s.messages))]
		if visited[source.CRN] || visited[target.CRN] || m.then != nil || !namedByCRN(histories[n]) {
			continue
		}
		m.then = &wakeUp{kind: store.MergeCompleted, person: storetest.Person{CRN: target.CRN, NOMS: target.NOMS}, merged: source.CRN, id: messageID(chance)}
		s.wakeUps, s.merges = s.wakeUps+1, s.merges+1
		s.reference.AddOffender(deliustest.Offender{ID: int64(n + 1), CRN: source.CRN, NOMS: source.NOMS, SoftDeleted: true, MergedInto: target.CRN})
	}
	s.reference.Project(time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)) // when rows are written is not compared
}

// namedByCRN says whether every referral of a person has an event that counts with a CRN.
func namedByCRN(h storetest.History) bool {
	named := map[store.Referral]bool{}
	for i := range h.Events {
		if e := &h.Events[i]; e.Type.Known() {
			named[e.Referral] = named[e.Referral] || e.CRN != ""
		}
	}
	return !slices.Contains(slices.Collect(maps.Values(named)), false)
}

// notification is what is published. A merge of nobody in the story is one of somebody whom
// nobody has heard of.
func (w *wakeUp) notification(now time.Time) string {
	additional := `{"bookingNumber":"12345"}`
	switch w.kind {
	case store.MergeCompleted:
		additional = fmt.Sprintf(`{"sourceCRN":%q,"targetCRN":%q}`, cmp.Or(w.merged, "Z000000"), w.person.CRN)
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

// sendWakeUp raises one person event, after what it tells of.
func (p *post) sendWakeUp(ctx context.Context, w *wakeUp) error {
	if w.merged != "" && !w.made {
		if err := p.delius.Merge(ctx, w.merged, w.person.CRN); err != nil {
			return err
		}
	}
	e := event{w.notification(time.Now()), string(w.kind), w.id}
	deliveries := 1
	if w.twice {
		deliveries = 2
	}
	for range deliveries {
		if err := p.publish(ctx, e); err != nil {
			return fmt.Errorf("send a person event about %s: %w", w.person.CRN, err)
		}
	}
	return nil
}
