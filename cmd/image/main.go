// Command image builds the bot's container image where no container engine
// runs: an OCI image in a tar file that `docker load`, `ctr images import` and
// the like take. It holds what the Dockerfile's last stage holds, one static
// program, and is the same for the same source: the digest that it prints
// doesn't depend on when or where it was built.
//
//	go run ./cmd/image -o twokey.tar [-name twokey:latest] [-arch amd64]
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type options struct {
	out, tag, arch string
}

func main() {
	var o options
	flag.StringVar(&o.out, "o", "twokey.tar", "tar file to write")
	flag.StringVar(&o.tag, "name", "twokey:latest", "name that the image is loaded under")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "processor that it runs on: amd64 or arm64")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	digest, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for stop to do
	}
	fmt.Println(digest)
}

// run builds the program and the image and gives the image's digest.
func run(ctx context.Context, o options) (string, error) {
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return "", fmt.Errorf("-name %q is no name of an image: %w", o.tag, err)
	}
	program, err := build(ctx, o.arch)
	if err != nil {
		return "", err
	}
	img, err := assemble(program, o.arch)
	if err != nil {
		return "", fmt.Errorf("put the image together: %w", err)
	}
	if err := tarball.WriteToFile(o.out, tag, img); err != nil {
		return "", fmt.Errorf("write %s: %w", o.out, err)
	}
	digest, err := img.Digest()
	return digest.String(), err
}

// build makes the static program. The flags are the Dockerfile's.
func build(ctx context.Context, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "twokey-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system's temporary folder is cleaned anyway
	out := filepath.Join(dir, "bot")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "twokey/cmd/bot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the program for linux/%s: %w\n%s", arch, err, text)
	}
	return os.ReadFile(out)
}

// user is nobody's account on any machine; the folder below is its own.
const user = 65532

// assemble makes the image: the program, and the folder of its store.
func assemble(program []byte, arch string) (v1.Image, error) {
	files, err := layer(program)
	if err != nil {
		return nil, err
	}
	packed, err := pack(files)
	if err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, configFile(img, arch))
}

// pack compresses once what is read several times.
func pack(files []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(files); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func configFile(img v1.Image, arch string) *v1.ConfigFile {
	file, err := img.ConfigFile()
	if err != nil { // it was just made in memory
		panic(err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = arch, "linux"
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/bot"},
		Cmd:        []string{"serve", "--config", "/etc/twokey/twokey.yaml"},
		WorkingDir: "/var/lib/twokey",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/bot", "health", "--config", "/etc/twokey/twokey.yaml"},
			Interval: 30 * time.Second, Timeout: 5 * time.Second,
		},
	}
	return file
}

// layer is the file system as a tar: the same bytes for the same program.
func layer(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range []tar.Header{
		{Name: "bot", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/twokey/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "run/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "run/twokey/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: user, Gid: user},
		{Name: "var/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "var/lib/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "var/lib/twokey/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: user, Gid: user},
	} {
		h.ModTime = time.Unix(0, 0).UTC()
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if _, err := w.Write(program); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
