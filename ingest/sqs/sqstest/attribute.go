package sqstest

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
)

// attribute is a message attribute as it is on the wire.
type attribute struct {
	DataType    string // String, Number or Binary, with an optional .label
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

// check refuses an attribute without a type or a value that fit.
func (a attribute) check(name string) error {
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch {
	case kind != "String" && kind != "Number" && kind != "Binary":
		return failure("InvalidParameterValue", "The message attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", name)
	case kind == "Binary" && len(a.BinaryValue) == 0, kind != "Binary" && a.StringValue == "":
		return failure("InvalidParameterValue", "The message attribute '%s' must contain a non-empty value of type '%s'.", name, kind)
	}
	return nil
}

// digest is the MD5 of b in hex. It is what SQS answers, and protects nothing.
func digest(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// attributesDigest is the MD5 that SQS gives of message attributes: over name, type and
// value of each in the order of their names, with their lengths before them and the
// kind of value, 1 for a string and 2 for bytes. It is "" for none.
func attributesDigest(attributes map[string]attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	sum := md5.New()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		put(sum, []byte(name))
		put(sum, []byte(a.DataType))
		if strings.HasPrefix(a.DataType, "Binary") {
			sum.Write([]byte{2})
			put(sum, a.BinaryValue)
		} else {
			sum.Write([]byte{1})
			put(sum, []byte(a.StringValue))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// put adds bytes with their length before them.
func put(sum hash.Hash, b []byte) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(b)))
	sum.Write(length[:])
	sum.Write(b)
}
