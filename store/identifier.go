package store

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"
)

// Referral is the key of an event: the UUID of an application or of a booking.
type Referral uuid.UUID

// ParseReferral takes a UUID in its 36-character spelling, in either case, and no
// other spelling of it.
func ParseReferral(s string) (Referral, error) {
	if len(s) != 36 {
		return Referral{}, fmt.Errorf("referral %q is not a UUID of 36 characters", clip(s))
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return Referral{}, fmt.Errorf("referral %q is not a UUID: %w", clip(s), err)
	}
	return Referral(id), nil
}

// String is the 36-character spelling in lower case.
func (r Referral) String() string { return uuid.UUID(r).String() }

// Compare orders referrals by their bytes, as PostgreSQL orders uuid.
func (r Referral) Compare(o Referral) int { return bytes.Compare(r[:], o[:]) }

// CRN names a person in Delius: a capital letter and six digits. "" is none.
type CRN string

// ParseCRN returns the CRN in upper case, or "" if s is none: an identifier that
// does not match counts as absent.
func ParseCRN(s string) CRN {
	if len(s) != 7 {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !capital(s[0]) || !digits(s[1:]) {
		return ""
	}
	return CRN(s)
}

// NOMS is a person's number in prison systems: a capital letter, four digits and two
// capital letters. "" is none.
type NOMS string

// ParseNOMS returns the NOMS number, or "" if s is none. CAS2 at times sends
// "Unknown NOMS Number".
func ParseNOMS(s string) NOMS {
	if len(s) != 7 || !capital(s[0]) || !digits(s[1:5]) || !capital(s[5]) || !capital(s[6]) {
		return ""
	}
	return NOMS(s)
}

func capital(c byte) bool { return c >= 'A' && c <= 'Z' }

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
