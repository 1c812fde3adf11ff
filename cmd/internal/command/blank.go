package command

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// refuseBlank makes blank values wrong usage, of every option and argument. One that is
// meant to name some people and is blank, because a variable of a shell was empty, would
// otherwise name everyone.
func refuseBlank() kong.Option {
	registry := kong.NewRegistry().RegisterDefaults()
	text := notBlank(registry.ForType(reflect.TypeFor[string]()))
	registry.RegisterKind(reflect.String, text) // of the elements of lists
	list := registry.ForType(reflect.TypeFor[[]string]())
	return kong.OptionFunc(func(k *kong.Kong) error {
		if err := kong.KindMapper(reflect.String, text).Apply(k); err != nil {
			return err
		}
		return kong.KindMapper(reflect.Slice, notBlank(list)).Apply(k)
	})
}

// notBlank is a mapper that takes no blank value. To a list, kong would give no element.
func notBlank(mapper kong.Mapper) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if text, ok := ctx.Scan.Peek().Value.(string); ok && strings.TrimSpace(text) == "" {
			return fmt.Errorf("%q is blank: give a value, or leave it out", text)
		}
		return mapper.Decode(ctx, target)
	}
}

// ignoreBlankVariables takes variables of the environment that are blank for variables
// that are not set, as is usual: a template often has them all.
func ignoreBlankVariables(node *kong.Node) {
	for _, flag := range node.Flags {
		flag.Tag.Envs = slices.DeleteFunc(slices.Clone(flag.Tag.Envs), func(name string) bool {
			value, set := os.LookupEnv(name)
			return set && strings.TrimSpace(value) == ""
		})
	}
	for _, child := range node.Children {
		ignoreBlankVariables(child)
	}
}
