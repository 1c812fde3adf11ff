package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// programs have an image each.
var programs = []string{"ingest", "projector", "sandbox"}

func main() {
	out := flag.String("out", "", "folder for archives that docker load takes")
	push := flag.String("push", "", "registry to push to")
	tag := flag.String("tag", "latest", "tag of the images")
	root := flag.String("root", "../..", "the repository")
	flag.Parse()
	if err := run(context.Background(), *root, *out, *push, *tag); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, out, push, tag string) error {
	if out == "" && push == "" {
		return errors.New("nowhere to put the images: give -out FOLDER or -push REGISTRY")
	}
	dir, err := os.MkdirTemp("", "casdelius-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	from, err := commit(ctx, root)
	if err != nil {
		return err
	}
	for _, program := range programs {
		binary, err := build(ctx, root, dir, program)
		if err != nil {
			return err
		}
		image, err := imageOf(program, binary, tag, from)
		if err != nil {
			return fmt.Errorf("image of %s: %w", program, err)
		}
		if err := deliver(ctx, image, program, out, push, tag); err != nil {
			return fmt.Errorf("image of %s: %w", program, err)
		}
	}
	return nil
}

// revision is the commit that is built.
type revision struct {
	hash string
	at   time.Time
}

func commit(ctx context.Context, root string) (revision, error) {
	said, err := exec.CommandContext(ctx, "git", "-C", root, "log", "-1", "--format=%H %cI").Output() //nolint:gosec // the folder is the caller's
	if err != nil {
		return revision{}, fmt.Errorf("ask git for the commit: %w", err)
	}
	hash, at, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	when, err := time.Parse(time.RFC3339, at)
	return revision{hash, when.UTC()}, err
}

// build makes a static binary of a program for Linux.
func build(ctx context.Context, root, dir, program string) (string, error) {
	binary, err := filepath.Abs(filepath.Join(dir, program))
	if err != nil {
		return "", err
	}
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/"+program) //nolint:gosec // one of the programs
	compile.Dir, compile.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	compile.Stdout, compile.Stderr = os.Stderr, os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", program, err)
	}
	return binary, nil
}

// deliver writes an archive, pushes, or both.
func deliver(ctx context.Context, image v1.Image, program, out, push, tag string) error {
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if out != "" {
		reference, err := name.NewTag("casdelius-" + program + ":" + tag)
		if err != nil {
			return err
		}
		file := filepath.Join(out, "casdelius-"+program+".tar")
		if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // what was built is for everybody
			return err
		}
		if err := tarball.WriteToFile(file, reference, image); err != nil {
			return err
		}
		fmt.Println(file, digest)
	}
	if push != "" {
		reference, err := name.NewTag(push + "/casdelius-" + program + ":" + tag)
		if err != nil {
			return err
		}
		if err := remote.Write(reference, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return err
		}
		fmt.Println(reference, digest)
	}
	return nil
}
