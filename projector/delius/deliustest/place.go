package deliustest

import "strings"

// place is an address as it stands in a row, one field: its parts change together.
type place struct{ building, street, district, town, county, postcode string }

// Widths of the columns, in characters.
const (
	lineWidth     = 35
	postcodeWidth = 8
)

// place is what a row shows of premises.
func (p premises) place() place {
	pieces := append(chunks(p.line1), chunks(p.line2)...)
	at := place{town: cut(p.town, lineWidth), county: cut(p.region, lineWidth), postcode: cut(p.postcode, postcodeWidth)}
	switch {
	case len(pieces) > 2:
		at.building, at.street, at.district = pieces[0], pieces[1], pieces[2]
	case len(pieces) == 2:
		at.street, at.district = pieces[0], pieces[1]
	case len(pieces) == 1:
		at.street = pieces[0]
	}
	return at
}

// hasLine says whether there is an address in the premises.
func (p premises) hasLine() bool { return !blank(p.line1) || !blank(p.line2) }

// named says whether the premises tell one place from another.
func (p premises) named() bool { return p.hasLine() || !blank(p.postcode) }

// chunks cuts a line as it came into pieces of the column's width and trims each; a
// blank line gives none.
func chunks(line string) []string {
	if blank(line) {
		return nil
	}
	var pieces []string
	for rest := []rune(line); len(rest) > 0; {
		n := min(lineWidth, len(rest))
		pieces = append(pieces, normalise(strings.TrimSpace(string(rest[:n]))))
		rest = rest[n:]
	}
	return pieces
}

// cut trims a value and cuts it to a column's width.
func cut(s string, width int) string {
	all := []rune(strings.TrimSpace(s))
	return normalise(string(all[:min(width, len(all))]))
}

// place is what a row shows, normalised.
func (a *Address) place() place {
	return place{
		normalise(a.Building), normalise(a.Street), normalise(a.District),
		normalise(a.Town), normalise(a.County), normalise(a.Postcode),
	}
}

func (a *Address) move(to place) {
	a.Building, a.Street, a.District = to.building, to.street, to.district
	a.Town, a.County, a.Postcode = to.town, to.county, to.postcode
}

func (p place) String() string {
	return strings.Join([]string{p.building, p.street, p.district, p.town, p.county, p.postcode}, "|")
}

// near says whether two places are the same for adoption: one postcode, or one first
// line where neither has a postcode.
func (p place) near(o place) bool {
	mine, others := key(p.postcode), key(o.postcode)
	if mine == "" && others == "" {
		return p.firstLine() == o.firstLine()
	}
	return mine == others
}

func key(postcode string) string { return strings.ToUpper(strings.Join(strings.Fields(postcode), "")) }

func (p place) firstLine() string {
	for _, line := range []string{p.building, p.street, p.district} {
		if !blank(line) {
			return strings.ToUpper(strings.Join(strings.Fields(line), " "))
		}
	}
	return ""
}
