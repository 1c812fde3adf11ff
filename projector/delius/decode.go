package delius

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks through a detail body, one value after another. It takes strict JSON in
// valid UTF-8 and compares names exactly. What nothing is kept of is checked in one go,
// which is why there is no unmarshalling into structs here: that looks up every name,
// and most of a detail is not used.
//
// The first thing that is wrong ends the reading: err keeps it, objects and lists have
// nothing more in them, and texts are empty.
type reader struct {
	json jsontext.Decoder
	body bytes.Buffer
	err  error

	scratch []byte // for what is escaped
}

// readers are scratch: making a decoder costs as much as reading a short detail.
var readers = sync.Pool{New: func() any { return new(reader) }}

// start begins with a body. Duplicate names were refused when the event came in;
// looking for them again would only cost. The last of them counts.
func (r *reader) start(body []byte) {
	r.body, r.err = *bytes.NewBuffer(body), nil
	r.json.Reset(&r.body, jsontext.AllowDuplicateNames(true))
}

// end checks that nothing but white space follows, and says what was wrong.
func (r *reader) end() error {
	if r.err != nil {
		return r.err
	}
	switch _, err := r.json.ReadToken(); {
	case err == nil:
		return errors.New("something follows the JSON value")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// members are the names of the members of the object that comes next; null has none.
// Whoever takes a name reads or skips the value.
func (r *reader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !r.enter('{', "an object") {
			return
		}
		for r.more('}') {
			if name := r.value(); r.err != nil || !yield(r.unquote(name)) {
				return
			}
		}
	}
}

// elements counts off the elements of the list that comes next; null has none. Whoever
// takes one reads or skips it.
func (r *reader) elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !r.enter('[', "a list") {
			return
		}
		for i := 0; r.more(']'); i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// enter takes the bracket that opens what comes next. It says no if that is null.
func (r *reader) enter(bracket jsontext.Kind, wanted string) bool {
	if r.err != nil {
		return false
	}
	token, err := r.json.ReadToken()
	switch kind := token.Kind(); {
	case err != nil:
		r.fail(err)
	case kind == bracket:
		return true
	case kind != jsontext.KindNull:
		r.mistyped(wanted)
	}
	return false
}

// more says whether something stands before the closing bracket, which it takes.
func (r *reader) more(bracket jsontext.Kind) bool {
	if r.err != nil {
		return false
	}
	if r.json.PeekKind() != bracket {
		return true
	}
	if _, err := r.json.ReadToken(); err != nil {
		r.fail(err)
	}
	return false
}

// null says whether null comes next.
func (r *reader) null() bool { return r.json.PeekKind() == jsontext.KindNull }

// raw is a plain text, "" for null. What is not escaped is plain: JSON lets no control
// character stand in a text.
func (r *reader) raw() string {
	value := r.value()
	switch {
	case value.Kind() == jsontext.KindString && !escaped(value):
		return string(value[1 : len(value)-1])
	case value.Kind() == jsontext.KindString:
		return plain(string(r.unquote(value)))
	case r.err == nil && value.Kind() != jsontext.KindNull:
		r.mistyped("a text")
	}
	return ""
}

// text is a plain text without white space around it, "" for null.
func (r *reader) text() string { return strings.TrimSpace(r.raw()) }

// only is a text that is all that is used of an object.
func (r *reader) only(wanted string) (text string) {
	for name := range r.members() {
		if string(name) == wanted {
			text = r.text()
		} else {
			r.skip()
		}
	}
	return text
}

// skip passes over a value that is not used.
func (r *reader) skip() { r.value() }

// value is the next value, or nil. It is good until the next is read.
func (r *reader) value() jsontext.Value {
	if r.err != nil {
		return nil
	}
	value, err := r.json.ReadValue()
	if err != nil {
		r.fail(err)
		return nil
	}
	return value
}

func (r *reader) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
}

// mistyped says of what was just read that it is not what was wanted.
func (r *reader) mistyped(wanted string) {
	where := strings.ReplaceAll(strings.TrimPrefix(string(r.json.StackPointer()), "/"), "/", ".")
	if where == "" {
		where = "the body"
	}
	r.err = fmt.Errorf("%s is not %s", where, wanted)
}

// unquote is what a valid JSON string says: itself where nothing is escaped. It is good
// until the next value is read.
func (r *reader) unquote(quoted jsontext.Value) []byte {
	if !escaped(quoted) {
		return quoted[1 : len(quoted)-1]
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], []byte(quoted)) // it is valid
	return r.scratch
}

func escaped(quoted jsontext.Value) bool { return bytes.IndexByte(quoted, '\\') >= 0 }
