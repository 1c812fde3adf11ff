package storetest

import "github.com/go-json-experiment/json/jsontext"

// object appends JSON objects field by field. It can be told to get one field wrong.
type object struct {
	buf   []byte
	wrong string // the next field of this name is written as instead
	as    string // JSON; "" leaves the field out
}

// presence is how an optional part is told.
type presence int

const (
	given presence = iota
	absent
	null
	blank // given, without anything in it
)

// open begins an object: a field of this name, or an element of a list if it has none.
func (o *object) open(name string) {
	o.name(name)
	o.buf = append(o.buf, '{')
}

func (o *object) close() { o.buf = append(o.buf, '}') }

// openList begins a field that is a list.
func (o *object) openList(name string) {
	o.name(name)
	o.buf = append(o.buf, '[')
}

func (o *object) closeList() { o.buf = append(o.buf, ']') }

// text writes a string.
func (o *object) text(name, value string) { o.optional(name, value, given) }

// optional writes a string in the way that p says.
func (o *object) optional(name, value string, p presence) {
	switch {
	case name == o.wrong:
		o.wrong = ""
		if o.as != "" {
			o.raw(name, o.as)
		}
	case p == given:
		o.name(name)
		o.quote(value)
	case p == null:
		o.raw(name, "null")
	case p == blank:
		o.raw(name, `""`)
	}
}

// raw writes a value that is JSON already.
func (o *object) raw(name, value string) {
	o.name(name)
	o.buf = append(o.buf, value...)
}

func (o *object) name(name string) {
	if n := len(o.buf); n > 0 && o.buf[n-1] != '{' && o.buf[n-1] != '[' {
		o.buf = append(o.buf, ',')
	}
	if name != "" { // names are plain letters: nothing to escape
		o.buf = append(o.buf, '"')
		o.buf = append(o.buf, name...)
		o.buf = append(o.buf, '"', ':')
	}
}

func (o *object) quote(s string) {
	var err error
	if o.buf, err = jsontext.AppendQuote(o.buf, s); err != nil {
		panic(err) // unreachable: every text in this package is UTF-8
	}
}
