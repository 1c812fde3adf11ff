package main

import (
	"context"
	"fmt"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/storetest"
)

// population is who lives and works in Delius. The real Delius and the reference are
// both filled from it.
type population struct {
	people []postgrestest.Person
	homes  []postgrestest.Address // main addresses that practitioners had entered before
	staff  []postgrestest.Officer // beyond those of the stand-in
}

// settle adds a person with a manager, and for some a home, which their first stay
// ends.
func (p *population) settle(who storetest.Person) {
	n, regions := len(p.people), storetest.Regions()
	region := regions[n%len(regions)]
	p.people = append(p.people, postgrestest.Person{
		CRN: who.CRN, NOMS: who.NOMS,
		Manager: postgrestest.Officer{Provider: region, Team: region + "T01", Staff: region + "A002"},
	})
	if n%4 == 1 {
		p.homes = append(p.homes, postgrestest.Address{
			CRN: string(who.CRN), Type: "A07", Status: deliustest.Main,
			StreetName: fmt.Sprintf("%d Station Road", n+1), TownCity: "York", Postcode: "YO1 7HH",
			Start: time.Date(2022, 3, 1+n%28, 0, 0, 0, 0, time.UTC),
			// Before anything is raised, as a person's home before the referral is.
			Created: time.Date(2022, 3, 1+n%28, 9, 0, 0, 0, time.UTC),
		})
	}
}

// employ adds the staff who record what happens. The stand-in has the first two of
// each region.
func (p *population) employ() {
	for _, region := range storetest.Regions() {
		for _, code := range storetest.Staff(region)[2:] {
			p.staff = append(p.staff, postgrestest.Officer{Provider: region, Team: preventionTeam(region), Staff: code})
		}
	}
}

// preventionTeam is the team of a region that CAS3 contacts go to.
func preventionTeam(region string) string {
	switch region {
	case "N58":
		return "N58XXX"
	case "N59":
		return "N59N59"
	}
	return region + "HPT"
}

// world is the population as the reference knows it, from the start with everyone who
// is withheld from Delius for a while: in the end that must have made no difference.
func (p *population) world() deliustest.World {
	var w deliustest.World
	for i, person := range p.people {
		id := int64(i + 1)
		w.Offenders = append(w.Offenders, deliustest.Offender{ID: id, CRN: person.CRN, NOMS: person.NOMS})
		w.Managers = append(w.Managers, deliustest.Manager{
			ID: id, OffenderID: id, Active: true,
			Provider: person.Manager.Provider, Team: person.Manager.Team, Staff: person.Manager.Staff,
		})
	}
	for _, region := range storetest.Regions() {
		w.Providers = append(w.Providers, region)
		w.Teams = append(w.Teams, deliustest.Team{Code: preventionTeam(region), Provider: region})
		for _, code := range storetest.Staff(region) {
			w.Staff = append(w.Staff, deliustest.Staff{Code: code, Teams: []string{preventionTeam(region)}})
		}
	}
	for _, kind := range delius.Kinds() {
		w.ContactTypes = append(w.ContactTypes, deliustest.ContactType{Code: kind.Code})
	}
	return w
}

// populate fills Delius with everyone but the one who is withheld.
func populate(ctx context.Context, d postgrestest.Delius, p *population, withheld postgrestest.Officer) error {
	for _, officer := range p.staff {
		if officer != withheld {
			if err := hire(ctx, d, officer); err != nil {
				return err
			}
		}
	}
	if err := d.AddPeople(ctx, p.people); err != nil {
		return err
	}
	for _, home := range p.homes {
		if _, err := d.InsertAddress(ctx, home); err != nil {
			return err
		}
	}
	return nil
}

func hire(ctx context.Context, d postgrestest.Delius, officer postgrestest.Officer) error {
	_, err := d.AddStaff(ctx, officer.Staff, officer.Team)
	return err
}
