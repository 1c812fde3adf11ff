package storetest_test

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/storetest"
)

// An oddity of one event that CAS is known for.
var oddities = map[string]func(storetest.Raised, notification, detail) bool{
	"lower-case CRN": func(r storetest.Raised, n notification, _ detail) bool {
		crn := n.identifier("CRN")
		return crn != "" && crn != string(r.CRN)
	},
	"no CRN at all": func(r storetest.Raised, _ notification, _ detail) bool { return r.CRN == "" },
	"NOMS number not known": func(_ storetest.Raised, n notification, _ detail) bool {
		return n.identifier("NOMS") == "Unknown NOMS Number"
	},
	"NOMS number spelled null":    func(_ storetest.Raised, n notification, _ detail) bool { return n.identifier("NOMS") == "null" },
	"NOMS number null":            contains(`{"type":"NOMS","value":null}`),
	"identifiers null":            contains(`"identifiers":null`),
	"person null":                 contains(`"personReference":null`),
	"person absent":               func(_ storetest.Raised, n notification, _ detail) bool { return n.PersonReference == nil },
	"information null":            contains(`"additionalInformation":null`),
	"information empty":           contains(`"additionalInformation":{}`),
	"booking null":                contains(`"bookingId":null`),
	"application null":            contains(`"applicationId":null`),
	"NOMS number before CRN":      inOrder(`"NOMS"`, `"CRN"`),
	"NOMS number after CRN":       inOrder(`"CRN"`, `"NOMS"`),
	"NOMS number null before CRN": inOrder(`{"type":"NOMS","value":null}`, `"CRN"`),
	"occurred absent":             func(_ storetest.Raised, n notification, _ detail) bool { return n.OccurredAt == nil },
	"id that is no UUID":          func(r storetest.Raised, _ notification, _ detail) bool { return uuid.Validate(r.ID) != nil },
	"type with a space": func(r storetest.Raised, _ notification, d detail) bool {
		return d.EventType == string(r.Type)+" "
	},
	"type of the base event": func(r storetest.Raised, _ notification, d detail) bool {
		return r.Type.Updated() && d.EventType+".updated" == string(r.Type)
	},
	"type that comes twice":     comesTwice("eventType"),
	"details that come twice":   comesTwice("eventDetails"),
	"a byte order mark":         inBody("\ufeff{"),
	"a lone surrogate":          inBody(`"\ud800"`),
	"unused values of any type": inBody(`"more":[`),
	"unknown type":              func(r storetest.Raised, _ notification, _ detail) bool { return !r.Type.Known() },
	"unknown type of a booking": func(r storetest.Raised, _ notification, d detail) bool {
		return !r.Type.Known() && d.present("bookingId")
	},
	"unknown type of CAS2": func(r storetest.Raised, _ notification, _ detail) bool {
		return !r.Type.Known() && r.Type.Service() == store.CAS2
	},
	"upper-case booking": func(_ storetest.Raised, _ notification, d detail) bool {
		return d.text("bookingId") != strings.ToLower(d.text("bookingId"))
	},
	"time in UTC":                           stamped(func(s string) bool { return strings.HasSuffix(s, "Z") }),
	"time with an offset":                   stamped(func(s string) bool { return strings.HasSuffix(s, "+01:00") }),
	"time with a zone":                      stamped(func(s string) bool { return strings.HasSuffix(s, "[Europe/London]") }),
	"time without a zone":                   stamped(func(s string) bool { return len(s) >= 19 && !strings.ContainsAny(s[19:], "Z+") }),
	"nine fraction digits":                  stamped(func(s string) bool { return digits(s) == 9 }),
	"nine fraction digits, the last 0":      stamped(func(s string) bool { return digits(s) == 9 && s[28] == '0' }),
	"three fraction digits":                 stamped(func(s string) bool { return digits(s) == 3 }),
	"nine fraction digits of what happened": inBodyMatch(`"(submittedAt|updatedAt)":"[^"]*\.[0-9]{9}[Z+"\[]`),
	"application of a booking null":         inBodyMatch(`"bookingId":.*"applicationId":null,"applicationUrl":null`),
	"event number of Delius":                inBodyMatch(`"deliusEventNumber":"[0-9]+"`),
	"event number of Delius empty":          inBody(`"deliusEventNumber":""`),
	"premises in a named region":            inBody(`"region":"Yorkshire & The Humber"`),
	"recorder absent": func(r storetest.Raised, _ notification, d detail) bool {
		_, ok := d.EventDetails["recordedBy"]
		return r.Type == store.PersonArrived && !ok
	},
	"recorder null":             inBody(`"recordedBy":null`),
	"recorder blank":            inBody(`"staffCode":"  "`),
	"recorder empty":            inBody(`"staffCode":""`),
	"recorder without username": inBody(`"username":null`),
	"notes null":                inBody(`"notes":null`),
	"notes empty":               inBody(`"notes":""`),
	"notes absent": func(r storetest.Raised, _ notification, d detail) bool {
		_, ok := d.EventDetails["notes"]
		return r.Type == store.PersonArrived && !ok
	},
	"notes of several lines": inBody(`\n\n`),
	"notes of Windows lines": inBody(`\r\n`),
	"notes with a NUL":       inBody(`\u0000`),
	"cohort null":            inBody(`"cohort":null`),
	"cohort empty":           inBody(`"cohort":{}`),
	"cohort without a name":  inBody(`"longDisplayName":null`),
	"origin null":            inBody(`"applicationOrigin":null`),
	"origin that names no cohort": func(_ storetest.Raised, _ notification, d detail) bool {
		return d.text("applicationOrigin") == "other" && !d.present("cohort")
	},
	"origin under its older name":   inBody(`"cas2v2ApplicationOrigin":"`),
	"staff identifier of CAS2":      inBodyMatch(`"cas2StaffIdentifier":"[0-9]+"`),
	"staff identifier of CAS2 null": inBody(`"cas2StaffIdentifier":null`),
	"user of NOMIS":                 inBody(`"usertype":"nomis"`),
	"user of Delius":                inBody(`"usertype":"delius"`),
	"user from elsewhere":           inBody(`"usertype":"auth"`),
	"user of no type":               inBody(`"usertype":null`),
	"hearing null":                  inBody(`"bailHearingDate":null`),
	"preferred areas null":          inBody(`"preferredAreas":null`),
	"reason's detail null":          inBody(`"reasonDetail":null`),
	"cohort by origin only": func(_ storetest.Raised, _ notification, d detail) bool {
		return d.text("applicationOrigin") != "" && !d.present("cohort")
	},
	"no cohort at all": func(r storetest.Raised, _ notification, d detail) bool {
		return r.Type == store.ApplicationSubmitted && d.text("applicationOrigin") == "" && !d.present("cohort")
	},
	"status without details":     inBody(`"statusDetails":[]`),
	"status with null details":   inBody(`"statusDetails":null`),
	"status with details":        inBody(`"statusDetails":[{`),
	"status without description": inBody(`"description":""`),
	"departure without premises": departure(func(d detail) bool { return !d.present("premises") }),
	"departure with premises":    departure(func(d detail) bool { return d.present("premises") }),
	"address line 2 null":        inBody(`"addressLine2":null`),
	"town absent": func(_ storetest.Raised, _ notification, d detail) bool {
		return d.present("premises") && !d.object("premises").present("town")
	},
	"line of more than 35": func(_ storetest.Raised, _ notification, d detail) bool {
		return len(d.object("premises").text("addressLine1")) > 70
	},
	"long line of wide letters":         wide,
	"arrival ahead":                     arrival(func(lead time.Duration) bool { return lead > 36*time.Hour }),
	"arrival back":                      arrival(func(lead time.Duration) bool { return lead < -36*time.Hour }),
	"arrival on another day here":       acrossMidnight,
	"arrival at midnight UTC in summer": midnight(time.Hour),
	"arrival at midnight UTC in winter": midnight(0),
}

// cohorts are those that CAS2 has, each of which has to occur as well.
var cohorts = []string{
	"Home Detention Curfew", "Court Bail", "Prison Bail", "Alternative to Custodial Recall (ATCR)",
	"Homeless at Conditional Release Date (HCRD)", "Homeless at End of Fixed-term Recall", "Intensive Supervision Courts (ISC)",
	"Risk Assessed Recall Review (RARR)", "Referral from Approved Premises",
}

func TestEveryTypeAndOddityOccurs(t *testing.T) {
	t.Parallel()
	types, found := map[store.Type]bool{}, map[string]bool{}
	oddities := maps.Clone(oddities)
	for _, name := range cohorts {
		oddities[name] = inBody(`"longDisplayName":"` + name + `"`)
	}
	forEach(storetest.Options{Seed: 11, People: 600, Unknown: 0.05}, func(_ storetest.History, r storetest.Raised) {
		types[r.Type] = true
		n, d := readNotification(t, r), readDetail(t, r)
		for name, occurs := range oddities {
			if !found[name] && occurs(r, n, d) {
				found[name] = true
			}
		}
	})
	for _, typ := range store.Types() {
		require.True(t, types[typ], "%s never occurs", typ)
	}
	for name := range oddities {
		require.True(t, found[name], "%s never occurs", name)
	}
}

// course is what the test of life cycles looks at in one referral: its events by type.
type course map[store.Type][]storetest.Raised

func TestEveryCourseOfAReferralOccurs(t *testing.T) {
	t.Parallel()
	courses := map[string]func(course) bool{
		"base event raised twice": func(c course) bool { return len(c[store.PersonArrived]) > 1 },
		"update in the instant of its base": func(c course) bool {
			return tied(c[store.PersonArrived], c[store.PersonArrivedUpdated])
		},
		"id shared between types": func(c course) bool { return shared(c) },
		"cancelled after arrival": func(c course) bool { return after(c, store.BookingCancelled, store.PersonArrived) },
		"back after departure": func(c course) bool {
			return after(c, store.PersonArrivedUpdated, store.PersonDeparted)
		},
		"departed without arrival": func(c course) bool {
			return len(c[store.PersonDeparted]) > 0 && len(c[store.PersonArrived]) == 0
		},
		"arrived after departure": func(c course) bool { return after(c, store.PersonArrived, store.PersonDeparted) },
		"never provisional": func(c course) bool {
			return len(c[store.BookingProvisionallyMade]) == 0 && len(c[store.BookingConfirmed]) > 0
		},
		"never confirmed":           func(c course) bool { return len(c[store.BookingConfirmed]) == 0 && len(c[store.PersonArrived]) > 0 },
		"still there":               func(c course) bool { return len(c[store.PersonArrived]) > 0 && len(c[store.PersonDeparted]) == 0 },
		"several status updates":    func(c course) bool { return len(c[store.ApplicationStatusUpdated]) > 2 },
		"cancelled, then corrected": func(c course) bool { return len(c[store.BookingCancelledUpdated]) > 0 },
		"departed before arrival":   func(c course) bool { return backwards(t, c) },
	}
	found, several := map[string]bool{}, false
	for history := range storetest.Generate(storetest.Options{Seed: 12, People: 1000}) {
		byReferral := map[store.Referral]course{}
		for _, r := range history.Events {
			if byReferral[r.Referral] == nil {
				byReferral[r.Referral] = course{}
			}
			byReferral[r.Referral][r.Type] = append(byReferral[r.Referral][r.Type], r)
		}
		several = several || len(byReferral) > 6
		for _, c := range byReferral {
			for name, occurs := range courses {
				found[name] = found[name] || occurs(c)
			}
		}
	}
	require.True(t, several, "nobody has several referrals and bookings")
	for name := range courses {
		require.True(t, found[name], "%s never occurs", name)
	}
}

func contains(text string) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, _ detail) bool {
		return bytes.Contains(r.Notification, []byte(text))
	}
}

func inBody(text string) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, _ detail) bool { return bytes.Contains(r.Body, []byte(text)) }
}

func inBodyMatch(pattern string) func(storetest.Raised, notification, detail) bool {
	compiled := regexp.MustCompile(pattern)
	return func(r storetest.Raised, _ notification, _ detail) bool { return compiled.Match(r.Body) }
}

// inOrder says whether a notification has one text, and another after it.
func inOrder(first, second string) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, _ detail) bool {
		_, rest, found := bytes.Cut(r.Notification, []byte(first))
		return found && bytes.Contains(rest, []byte(second))
	}
}

// digits are how many a date-time has after its seconds.
func digits(s string) int {
	_, fraction, _ := strings.Cut(s, ".")
	return len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))
}

// midnight says whether somebody arrived at midnight UTC while the clocks were so much ahead
// of it here.
func midnight(ahead time.Duration) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, d detail) bool {
		at, err := store.ParseTime(d.text("arrivedAt"))
		if r.Type != store.PersonArrived || err != nil {
			return false
		}
		_, offset := at.In(store.London()).Zone()
		return at.Equal(at.Truncate(24*time.Hour)) && offset == int(ahead.Seconds())
	}
}

func comesTwice(name string) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, _ detail) bool {
		return bytes.Count(r.Body, []byte(`"`+name+`":`)) == 2
	}
}

func stamped(is func(string) bool) func(storetest.Raised, notification, detail) bool {
	return func(_ storetest.Raised, _ notification, d detail) bool { return is(d.Timestamp) }
}

func departure(is func(detail) bool) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, d detail) bool {
		return r.Type == store.PersonDeparted && is(d)
	}
}

func arrival(is func(lead time.Duration) bool) func(storetest.Raised, notification, detail) bool {
	return func(r storetest.Raised, _ notification, d detail) bool {
		at, err := store.ParseTime(d.text("arrivedAt"))
		return r.Type == store.PersonArrived && err == nil && is(at.Sub(r.Emitted))
	}
}

func acrossMidnight(_ storetest.Raised, _ notification, d detail) bool {
	at, err := store.ParseTime(d.text("arrivedAt"))
	return err == nil && !store.Date(at).Equal(at.Truncate(24*time.Hour))
}

func wide(_ storetest.Raised, _ notification, d detail) bool {
	line := d.object("premises").text("addressLine1")
	return utf8.RuneCountInString(line) > 35 && utf8.RuneCountInString(line) < len(line)
}

func (d detail) addressed() bool {
	premises := d.object("premises")
	return strings.TrimSpace(premises.text("addressLine1")+premises.text("addressLine2")) != ""
}

func tied(a, b []storetest.Raised) bool {
	return slices.ContainsFunc(a, func(x storetest.Raised) bool {
		return slices.ContainsFunc(b, func(y storetest.Raised) bool { return x.Emitted.Equal(y.Emitted) })
	})
}

func shared(c course) bool {
	types := map[string]store.Type{}
	for typ, events := range c {
		for _, r := range events {
			if other, ok := types[r.ID]; ok && other != typ {
				return true
			}
			types[r.ID] = typ
		}
	}
	return false
}

// after says whether some event of one type came after one of another.
func after(c course, late, early store.Type) bool {
	return len(c[late]) > 0 && len(c[early]) > 0 && c[late][len(c[late])-1].Emitted.After(c[early][0].Emitted)
}

// backwards says whether the departure of a stay was before its arrival.
func backwards(t *testing.T, c course) bool {
	if len(c[store.PersonArrived]) == 0 || len(c[store.PersonDeparted]) == 0 {
		return false
	}
	arrived, err := store.ParseTime(readDetail(t, c[store.PersonArrived][0]).text("arrivedAt"))
	require.NoError(t, err)
	departed, err := store.ParseTime(readDetail(t, c[store.PersonDeparted][0]).text("departedAt"))
	require.NoError(t, err)
	return store.Date(departed).Before(store.Date(arrived))
}
