package delius

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks through a detail body, one value after another. It reads JSON as CAS's
// own consumers do, which is as Jackson does: of duplicate names the last counts, a byte
// order mark in front is ignored, a lone surrogate becomes U+FFFD. Names are compared
// exactly. What nothing is kept of is checked in one go, which is why there is no
// unmarshalling into structs here: that looks up every name, and most of a detail is not
// used.
//
// What is no JSON ends the reading: err keeps it, objects and lists have nothing more in
// them, and texts are empty. A value of another type than expected counts as absent, and
// is among the problems unless its name comes again.
type reader struct {
	json     jsontext.Decoder
	body     bytes.Buffer
	err      error
	problems []problem

	scratch []byte // for what is escaped
}

// problem is a value that is used and is not what is wanted.
type problem struct {
	at     jsontext.Pointer
	wanted string
}

const byteOrderMark = "\ufeff"

// readers are scratch: making a decoder costs as much as reading a short detail.
var readers = sync.Pool{New: func() any { return new(reader) }}

// start begins with a body.
func (r *reader) start(body []byte) {
	r.err, r.problems = nil, r.problems[:0]
	if !utf8.Valid(body) {
		r.err = errors.New("it is not UTF-8")
	}
	r.body = *bytes.NewBuffer(bytes.TrimPrefix(body, []byte(byteOrderMark)))
	// Once the bytes are UTF-8, lone surrogates are all that is invalid in a text.
	r.json.Reset(&r.body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
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
		return withoutContent(err)
	}
	if len(r.problems) > 0 {
		return r.problems[0]
	}
	return nil
}

// members are the names of the members of the object that comes next; null has none,
// nor has what is no object. Whoever takes a name reads or skips the value.
func (r *reader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !r.enter('{', "an object") {
			return
		}
		for r.more('}') {
			name := r.value()
			if r.err != nil {
				return
			}
			if len(r.problems) > 0 {
				r.forget(r.json.StackPointer())
			}
			if !yield(r.unquote(name)) {
				return
			}
		}
	}
}

// forget drops the problems of a member that comes again, and those within it.
func (r *reader) forget(member jsontext.Pointer) {
	r.problems = slices.DeleteFunc(r.problems, func(p problem) bool { return member.Contains(p.at) })
}

// elements counts off the elements of the list that comes next; null has none, nor has
// what is no list. Whoever takes one reads or skips it.
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

// enter takes the bracket that opens what comes next. It says no if that is something
// else, which it passes over.
func (r *reader) enter(bracket jsontext.Kind, wanted string) bool {
	if r.err != nil {
		return false
	}
	if r.json.PeekKind() != bracket {
		if value := r.value(); value != nil && value.Kind() != jsontext.KindNull {
			r.mistyped(wanted)
		}
		return false
	}
	if _, err := r.json.ReadToken(); err != nil {
		r.fail(err)
	}
	return r.err == nil
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
	if kind := value.Kind(); r.err == nil && kind != jsontext.KindString && kind != jsontext.KindNull {
		r.mistyped("a text")
	}
	return r.plain(value)
}

// optional is a plain text without white space around it, "" for a value of another type:
// whatever is read by it makes no detail bad.
func (r *reader) optional() string { return strings.TrimSpace(r.plain(r.value())) }

// plain is what a value says, "" if it is no text.
func (r *reader) plain(value jsontext.Value) string {
	switch {
	case value.Kind() != jsontext.KindString:
		return ""
	case !escaped(value):
		return string(value[1 : len(value)-1])
	}
	return plain(string(r.unquote(value)))
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
	r.err = withoutContent(err)
}

// withoutContent says where something is no JSON, and not as which text: the library's own
// errors quote some of it, and what is said of a detail is logged.
func withoutContent(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is no JSON after byte %d", syntax.ByteOffset)
	}
	return err
}

// mistyped says of what was just read that it is not what was wanted.
func (r *reader) mistyped(wanted string) {
	r.problems = append(r.problems, problem{r.json.StackPointer(), wanted})
}

// Error says it to a person.
func (p problem) Error() string {
	where := strings.ReplaceAll(strings.TrimPrefix(string(p.at), "/"), "/", ".")
	if where == "" {
		where = "the body"
	}
	return fmt.Sprintf("%s is not %s", where, p.wanted)
}

// unquote is what a JSON string says: itself where nothing is escaped. It is good until
// the next value is read.
func (r *reader) unquote(quoted jsontext.Value) []byte {
	if !escaped(quoted) {
		return quoted[1 : len(quoted)-1]
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], []byte(quoted)) // it fails only for lone surrogates, once it has replaced them
	return r.scratch
}

func escaped(quoted jsontext.Value) bool { return bytes.IndexByte(quoted, '\\') >= 0 }
