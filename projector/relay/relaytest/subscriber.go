// Package relaytest is one of those who depend on the notices of address rows, for tests and
// for a sandbox: it hears what a topic accepts, and can say whether that is what happened.
package relaytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/sns/snstest"
)

// Subscriber hears what a topic accepts. Its methods are safe for concurrent use.
type Subscriber struct {
	mu       sync.Mutex
	received []postgrestest.AddressChange
	known    map[string]bool
	messages int
	faults   []string
}

// Hear takes in a message, and says of which address row it tells; 0 if that cannot be read.
func (s *Subscriber) Hear(m snstest.Message) (addressID int64) {
	var event struct {
		EventType             string `json:"eventType"`
		AdditionalInformation struct {
			AddressStatus string `json:"addressStatus"`
			AddressID     int64  `json:"addressId"`
		} `json:"additionalInformation"`
		PersonReference struct {
			Identifiers []struct{ Type, Value string } `json:"identifiers"`
		} `json:"personReference"`
	}
	err := json.Unmarshal([]byte(m.Body), &event)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages++
	kind, is := strings.CutPrefix(event.EventType, "probation-case.address.")
	if err != nil || !is || m.Attributes["eventType"] != event.EventType || len(event.PersonReference.Identifiers) != 1 {
		s.faults = append(s.faults, fmt.Sprintf("a message is no notice of an address: %v %s", m.Attributes, m.Body))
		return 0
	}
	if s.known[m.Body] {
		return event.AdditionalInformation.AddressID
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[m.Body] = true
	s.received = append(s.received, postgrestest.AddressChange{
		AddressID: event.AdditionalInformation.AddressID, CRN: event.PersonReference.Identifiers[0].Value,
		Kind: kind, Status: event.AdditionalInformation.AddressStatus,
	})
	return event.AdditionalInformation.AddressID
}

// Messages is how many there were, those that came again too.
func (s *Subscriber) Messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

// Received is what was received, each once, in the order in which it was first accepted.
func (s *Subscriber) Received() []postgrestest.AddressChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Forget begins anew.
func (s *Subscriber) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received, s.known, s.messages, s.faults = nil, nil, 0, nil
}

// Differences say in what the subscriber has not heard exactly what was committed, in the order
// of the commits of each person; none if it has.
func (s *Subscriber) Differences(committed []postgrestest.AddressChange) []string {
	have, want := byPerson(s.Received()), byPerson(committed)
	s.mu.Lock()
	all := slices.Clone(s.faults)
	s.mu.Unlock()
	for _, crn := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(have[crn], want[crn]) {
			all = append(all, fmt.Sprintf("notices of %s:\n    - %s\n    + %s", crn, list(want[crn]), list(have[crn])))
		}
		delete(have, crn)
	}
	for _, crn := range slices.Sorted(maps.Keys(have)) {
		all = append(all, fmt.Sprintf("notices of %s, of whom nothing was written:\n    + %s", crn, list(have[crn])))
	}
	return all
}

// byPerson are changes by whose they are.
func byPerson(changes []postgrestest.AddressChange) map[string][]postgrestest.AddressChange {
	of := map[string][]postgrestest.AddressChange{}
	for _, c := range changes {
		c.OffenderID = 0 // which no message names
		of[c.CRN] = append(of[c.CRN], c)
	}
	return of
}

func list(changes []postgrestest.AddressChange) string {
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = fmt.Sprintf("%d %s %s", c.AddressID, c.Kind, c.Status)
	}
	return strings.Join(texts, ", ")
}
