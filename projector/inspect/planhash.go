package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"

	"casdelius/projector"
)

// PlanHash is a hash over the changes of a plan, whatever the order of its people. The zero
// value is that of a plan without any.
type PlanHash struct{ sum big.Int }

// Add adds what would be written for a person.
func (h *PlanHash) Add(d *projector.Decision) {
	hash := sha256.New()
	lines := json.NewEncoder(hash)
	for _, change := range d.Outcome.Changes {
		for _, row := range fieldsOf(string(d.Person.CRN), change) {
			if err := lines.Encode(&row); err != nil {
				panic(err) // unreachable: of texts and numbers
			}
		}
	}
	if len(d.Outcome.Changes) > 0 {
		var of big.Int
		h.sum.Add(&h.sum, of.SetBytes(hash.Sum(nil)))
	}
}

// String is the hash, as requests carry it.
func (h *PlanHash) String() string {
	sum := sha256.Sum256(h.sum.Bytes())
	return hex.EncodeToString(sum[:16])
}

// HashPlan is the hash of a plan.
func HashPlan(decisions []projector.Decision) string {
	var h PlanHash
	for i := range decisions {
		h.Add(&decisions[i])
	}
	return h.String()
}
