package storetest

import (
	"fmt"
	"strings"
)

// lore is what there is to tell: the texts, addresses and staff that events draw on.
type lore struct {
	notes        []string
	reasons      []string // for a cancellation or a departure
	contexts     []string // more about a reason
	statuses     []string // labels of CAS2 statuses
	descriptions []string // of CAS2 statuses
	details      []string // labels of status details
	cohorts      []cohort // of CAS2 applications
	premises     []premises
	recorders    []recorder
}

// cohort is why somebody applied to CAS2: how CAS codes it, how it is displayed, and the
// origin of such an application.
type cohort struct{ code, name, origin string }

// premises is where someone stays. CAS names a region of the probation service as region.
type premises struct{ line1, line2, postcode, town, region string }

// recorder is the member of staff who recorded something.
type recorder struct{ code, region string }

// plausible is the lore of these regions.
func plausible(regions []string) *lore {
	l := &lore{
		reasons:      []string{"Recalled to custody", "Moved to settled accommodation", "Alternative suitable accommodation provided", "Person on probation failed to arrive", "Evicted", "Other"},
		contexts:     []string{"Moved in with family", "Breach of licence conditions", "Room needs repair after a leak", "Released later than planned"},
		statuses:     []string{"More information requested", "Awaiting decision", "On waiting list", "Place offered", "Offer accepted", "Could not be placed", "Incomplete", "Withdrawn"},
		descriptions: []string{"The application is being considered.", "The prison offender manager needs to send more about the health and the risk of the applicant.", "A place is held until the date of release.", "No place was free in the preferred areas."},
		details:      []string{"Personal information", "Risk of serious harm", "Hate crimes", "Area (exclusion zone)", "Health needs: medication, and what must be kept cold", "Exclusion of partner’s address"},
		cohorts:      plausibleCohorts(),
		notes:        plausibleNotes(),
		premises:     plausiblePremises(),
	}
	for _, region := range regions {
		for _, code := range Staff(region) {
			l.recorders = append(l.recorders, recorder{code, region})
		}
	}
	return l
}

func plausibleCohorts() []cohort {
	return []cohort{
		{"HDC", "Home Detention Curfew", "homeDetentionCurfew"},
		{"COURT_BAIL", "Court Bail", "courtBail"},
		{"PRISON_BAIL", "Prison Bail", "prisonBail"},
		{"ATCR", "Alternative to Custodial Recall (ATCR)", "other"},
		{"HCRD", "Homeless at Conditional Release Date (HCRD)", "other"},
		{"HEFR", "Homeless at End of Fixed-term Recall", "other"},
		{"ISC", "Intensive Supervision Courts (ISC)", "other"},
		{"RARR", "Risk Assessed Recall Review (RARR)", "other"},
		{"FROM_AP", "Referral from Approved Premises", "other"},
	}
}

func plausibleNotes() []string {
	first := []string{
		"Room on the ground floor with no steps, as asked for in the referral. The back door sticks; the landlord has been told and will come by before the end of the week.",
		"Keys collected from the support worker at the door. The tenancy terms were read out and signed, and a copy was left in the room together with the numbers to call at night.",
		"The support worker will meet them at the station at half past two and take them to the premises by car, as the last bus leaves before the train gets in.",
		"Shares the kitchen and the bathroom with two others. Asked for a shelf of their own in the fridge because of a food allergy, which has been arranged.",
		"Curfew from 19:00 to 07:00 at these premises; the tag is fitted between the arrival and midnight, so somebody has to be in to open the door.",
		"Came with the probation practitioner, calm and early. Knows the area from before and has already found the way to the pharmacy and to the job centre.",
		"Gofynnodd am gymorth yn Gymraeg – tŷ tawel, dim ysmygu. Bydd y gweithiwr cymorth yn ffonio bob bore am yr wythnos gyntaf i weld sut mae pethau.",
		"Brought one bag; the rest comes from reception on Friday. Needs a letter that confirms the address for the bank and for the benefits claim.",
	}
	second := []string{
		"", "\nMobile number checked.\nGP registration: booked for Thursday.", "\r\nHas a key fob (no. 14).\r\n", " ",
		"\n\nSpoke to the family – they will visit “most weekends”.", " Told about the fire drill, the house rules and the quiet hours.",
		"\n* rent account opened\n* benefits claim made \n* move-on plan due in 12 weeks", " House key\x00 missing.",
	}
	var notes []string
	for _, a := range first {
		for _, b := range second {
			notes = append(notes, a+b)
		}
	}
	return notes
}

func plausiblePremises() []premises {
	streets := []string{"Hope Street", "Canal Road", "St Mary’s Terrace", "Albert Road", "Long Meadow Lane", "Mill Bank"}
	towns := []premises{
		{town: "Leeds", region: "Yorkshire & The Humber", postcode: "LS1 4AP"},
		{town: "Newcastle upon Tyne", region: "North East", postcode: "NE1 7RU"},
		{town: "Caerdydd", region: "Wales", postcode: "CF10 3AT"},
		{town: "Maidstone", region: "Kent, Surrey and Sussex region of the probation service", postcode: "ME14 1XX"},
	}
	var all []premises
	for i, town := range towns {
		for j, street := range streets {
			for _, number := range []int{3, 17, 128} {
				p := town
				p.line1 = fmt.Sprintf("%d %s", number+i, street)
				p.postcode = fmt.Sprintf("%s%c", town.postcode[:len(town.postcode)-1], 'A'+j)
				all = append(all, p)
			}
		}
	}
	for i := range all {
		switch p := &all[i]; i % 9 {
		case 2:
			p.line1, p.line2 = fmt.Sprintf("Flat %d, ", i)+p.line1, "Riverside Quarter"
		case 4:
			p.line1, p.line2 = "Room 2, The Old Schoolhouse Annexe (rear entrance), "+p.line1, "off the Great Northern Way, behind the library"
		case 6:
			p.line1 = "Tŷ Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch – Fflat Uchaf, " + p.line1
		case 8:
			p.postcode = strings.ToLower(strings.ReplaceAll(p.postcode, " ", ""))
		}
	}
	return all
}
