package delius

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestEveryTypeOfEventHasItsKindOfContactAndItsName(t *testing.T) {
	t.Parallel()
	codes, urns := map[string]bool{}, map[string]bool{}
	for _, k := range Kinds() {
		assert.NotNil(t, k.read, k.Code)
		assert.Regexp(t, `^urn:hmpps:cas[23]:[a-z-]+:$`, k.URNPrefix())
		assert.False(t, codes[k.Code] || urns[k.urn], k.Code)
		codes[k.Code], urns[k.urn] = true, true
		for i, told := range k.Events {
			assert.Equal(t, i > 0, told.Type.Updated(), told.Type)
			assert.Equal(t, k.Service, told.Type.Service(), told.Type)
			assert.Same(t, k, KindOf(told.Type))
		}
	}
	for _, typ := range store.Types() {
		require.NotNil(t, KindOf(typ), typ)
		assert.NotEmpty(t, TelemetryName(typ), typ)
	}
	assert.Empty(t, TelemetryName("accommodation.cas3.assessment.updated"))
}

func TestATypeWithoutAKindIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	const extended store.Type = "accommodation.cas3.booking.extended"
	one := &Kind{Code: "EAEX", Events: []Told{{extended, "BookingExtended"}}}
	assert.PanicsWithValue(t, "event type accommodation.cas3.booking.extended makes no kind of contact: it has no row in package delius",
		func() { index(nil, []store.Type{extended}) })
	assert.PanicsWithValue(t, "event type accommodation.cas3.booking.extended makes two kinds of contact, EAEX and EAEY",
		func() { index([]*Kind{one, {Code: "EAEY", Events: one.Events}}, nil) })
}
