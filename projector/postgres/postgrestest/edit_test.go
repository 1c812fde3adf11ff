package postgrestest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// withPerson returns a database with the person A000001 in it.
func withPerson(t *testing.T) Database {
	t.Helper()
	db := New(t)
	require.NoError(t, db.AddPeople(t.Context(), []Person{{CRN: "A000001", Manager: north}}))
	return db
}

// onlyContact returns the one contact that there is.
func onlyContact(t *testing.T, d Delius) Contact {
	t.Helper()
	contacts, err := d.Contacts(t.Context())
	require.NoError(t, err)
	require.Len(t, contacts, 1)
	return contacts[0]
}

func onlyAddress(t *testing.T, d Delius) Address {
	t.Helper()
	addresses, err := d.Addresses(t.Context())
	require.NoError(t, err)
	require.Len(t, addresses, 1)
	return addresses[0]
}

// fullContact has every field that a caller can give.
var fullContact = Contact{
	CRN: "A000001", Type: "EAAR", Officer: Officer{"N54", "N54HPT", "N54A001"},
	TrustProviderTeam: "N54T01", TrustProviderFlag: 1,
	ExternalReference: "urn:hmpps:cas3:person-arrived:1", Description: "Arrived", Notes: "first\nsecond",
	Date: date(2024, time.July, 1), StartTime: time.Date(2024, time.June, 30, 23, 30, 0, 123456000, time.UTC),
	Sensitive: true, SoftDeleted: true, PartitionArea: 3,
	CreatedBy: "Cas3AndDelius", UpdatedBy: "Cas2AndDelius",
	Created: time.Date(2024, time.July, 2, 9, 0, 0, 0, time.UTC), Updated: time.Date(2024, time.July, 3, 9, 0, 0, 0, time.UTC),
}

func TestContactReadsBackAsItWasInserted(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	want := fullContact
	var err error
	want.ID, err = db.InsertContact(t.Context(), want)
	require.NoError(t, err)
	assert.Equal(t, want, onlyContact(t, db.Delius))
}

func TestPractitionerInsertsAContactNow(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	_, err := db.InsertContact(t.Context(), Contact{CRN: "A000001", Type: "COAP", Officer: north, Date: date(2024, time.May, 1)})
	require.NoError(t, err)
	got := onlyContact(t, db.Delius)
	assert.WithinRange(t, got.Created, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	assert.Equal(t, got.Created, got.Updated)
	assert.Equal(t, Contact{
		CRN: "A000001", Type: "COAP", Officer: north, TrustProviderTeam: "N54T01", Date: date(2024, time.May, 1),
		CreatedBy: Practitioner, UpdatedBy: Practitioner,
	}, got.Portable())
}

func TestEditedContactCountsUpItsVersion(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	id, err := db.InsertContact(t.Context(), fullContact)
	require.NoError(t, err)
	before := onlyContact(t, db.Delius)

	require.NoError(t, db.EditContact(t.Context(), id, func(c *Contact) {
		c.Notes += "\nby hand"
		c.StartTime = time.Time{}
		c.Officer = london
		c.SoftDeleted = false
	}))
	want := before
	want.Notes, want.StartTime, want.Officer, want.SoftDeleted = "first\nsecond\nby hand", time.Time{}, london, false
	want.RowVersion, want.UpdatedBy = 1, Practitioner
	got := onlyContact(t, db.Delius)
	assert.True(t, got.Updated.After(before.Updated))
	want.Updated = got.Updated
	assert.Equal(t, want, got)

	require.NoError(t, db.DeleteContact(t.Context(), id))
	got = onlyContact(t, db.Delius)
	assert.True(t, got.SoftDeleted)
	assert.EqualValues(t, 2, got.RowVersion)
}

func TestContactIsLockedWhileItIsEdited(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	id, err := db.InsertContact(t.Context(), fullContact)
	require.NoError(t, err)
	conn := connect(t, db.URL)
	require.NoError(t, db.EditContact(t.Context(), id, func(*Contact) {
		assert.Zero(t, queryInt(t, conn, "select count(*) from (select from delius.contact for no key update skip locked) free"))
		assert.Equal(t, 1, queryInt(t, conn, "select count(*) from (select from delius.offender for no key update skip locked) free"))
	}))
	assert.Equal(t, 1, queryInt(t, conn, "select count(*) from (select from delius.contact for no key update skip locked) free"))
}

func TestUnknownCodesAndRowsAreNamed(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	_, err := db.InsertContact(t.Context(), Contact{CRN: "A000001", Type: "XXXX", Officer: north})
	require.ErrorContains(t, err, `no contact type "XXXX"`)
	_, err = db.InsertAddress(t.Context(), Address{CRN: "A000001", Type: "A17", Status: "F"})
	require.ErrorContains(t, err, `no address status "F"`, "a code of another set")

	err = db.EditContact(t.Context(), 7, func(*Contact) {})
	require.ErrorContains(t, err, "edit contact 7")
	require.ErrorIs(t, err, pgx.ErrNoRows)
	require.ErrorIs(t, db.DeleteAddress(t.Context(), 7), pgx.ErrNoRows)
}

// fullAddress has every field that a caller can give.
var fullAddress = Address{
	CRN: "A000001", Type: "A17", Status: "M",
	BuildingName: "Flat 1", AddressNumber: "2", StreetName: "High Street", District: "Old Town", TownCity: "Leeds", County: "Yorkshire",
	Postcode: "LS1 1AA", TelephoneNumber: "0113 496 0000", NoFixedAbode: true, TypeVerified: true,
	Start: date(2024, time.July, 1), End: date(2024, time.August, 1), SoftDeleted: true, PartitionArea: 3,
	CreatedBy: "Cas3AndDelius", UpdatedBy: "Cas2AndDelius",
	Created: time.Date(2024, time.July, 2, 9, 0, 0, 0, time.UTC), Updated: time.Date(2024, time.July, 3, 9, 0, 0, 0, time.UTC),
}

func TestAddressReadsBackAsItWasInserted(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	want := fullAddress
	var err error
	want.ID, err = db.InsertAddress(t.Context(), want)
	require.NoError(t, err)
	assert.Equal(t, want, onlyAddress(t, db.Delius))
}

func TestPractitionerInsertsAnAddressNow(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	_, err := db.InsertAddress(t.Context(), Address{CRN: "A000001", Status: "M", StreetName: "High Street"})
	require.NoError(t, err)
	got := onlyAddress(t, db.Delius)
	assert.WithinRange(t, got.Created, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	assert.Equal(t, got.Created, got.Updated)
	assert.Equal(t, Address{
		CRN: "A000001", Status: "M", StreetName: "High Street", CreatedBy: Practitioner, UpdatedBy: Practitioner,
	}, got.Portable())
}

func TestEditedAddressBearsThePractitionersName(t *testing.T) {
	t.Parallel()
	db := withPerson(t)
	id, err := db.InsertAddress(t.Context(), fullAddress)
	require.NoError(t, err)
	before := onlyAddress(t, db.Delius)

	conn := connect(t, db.URL)
	require.NoError(t, db.EditAddress(t.Context(), id, func(a *Address) {
		assert.Zero(t, queryInt(t, conn, "select count(*) from (select from delius.offender_address for no key update skip locked) free"))
		a.Status, a.End, a.Postcode, a.SoftDeleted = "P", time.Time{}, "", false
	}))
	want := before
	want.Status, want.End, want.Postcode, want.SoftDeleted, want.UpdatedBy = "P", time.Time{}, "", false, Practitioner
	got := onlyAddress(t, db.Delius)
	assert.True(t, got.Updated.After(before.Updated))
	want.Updated = got.Updated
	assert.Equal(t, want, got)

	require.NoError(t, db.DeleteAddress(t.Context(), id))
	assert.True(t, onlyAddress(t, db.Delius).SoftDeleted)
}

func TestContactsAreListedInAnOrderThatIDsHaveNoPartIn(t *testing.T) {
	t.Parallel()
	one, two := withPerson(t), withPerson(t)
	first, second := fullContact, fullContact
	first.ExternalReference, second.ExternalReference = "urn:1", "urn:2"
	for _, insert := range []struct {
		db       Database
		contacts []Contact
	}{{one, []Contact{first, second}}, {two, []Contact{second, first}}} {
		for _, c := range insert.contacts {
			_, err := insert.db.InsertContact(t.Context(), c)
			require.NoError(t, err)
		}
	}
	portable := func(db Database) (listed []Contact) {
		contacts, err := db.Contacts(t.Context())
		require.NoError(t, err)
		for _, c := range contacts {
			listed = append(listed, c.Portable())
		}
		return listed
	}
	assert.Equal(t, portable(one), portable(two))
	assert.Equal(t, "urn:1", portable(two)[0].ExternalReference)
}
