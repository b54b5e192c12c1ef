package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions/local"
)

func fill(path string) func(context.Context, string) error {
	return func(_ context.Context, dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o700), os.WriteFile(filepath.Join(dir, path), []byte("content"), 0o640))
	}
}

func TestTemplateIsBuiltOnceForAll(t *testing.T) {
	t.Parallel()
	templates := local.Templates{Folder: filepath.Join(t.TempDir(), "cache")}
	var built atomic.Int32
	build := func(ctx context.Context, dir string) error {
		built.Add(1)
		return fill("sub/file")(ctx, dir)
	}
	out := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			to := filepath.Join(out, string(rune('a'+i)))
			if err := templates.Copy(t.Context(), "key", to, build); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(filepath.Join(to, "sub", "file"))
			if err != nil || info.Mode().Perm() != 0o640 || info.Size() != 7 {
				t.Errorf("copy %d: %v, %v", i, info, err)
			}
		})
	}
	wg.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times", built.Load())
	}
}

func TestFailedTemplateIsNoTemplate(t *testing.T) {
	t.Parallel()
	templates := local.Templates{Folder: t.TempDir()}
	broken := errors.New("broken")
	to := filepath.Join(t.TempDir(), "copy")
	err := templates.Copy(t.Context(), "key", to, func(ctx context.Context, dir string) error {
		return errors.Join(fill("sub/half")(ctx, dir), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the builder's error", err)
	}
	if err := templates.Copy(t.Context(), "key", to, fill("sub/whole")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "sub", "half")); err == nil {
		t.Error("half a template was copied")
	}
}

func TestUnusedTemplatesAreRemoved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	templates := local.Templates{Folder: folder}
	for name, age := range map[string]time.Duration{"unused": 15 * 24 * time.Hour, "used": time.Hour, "building-1": 0} {
		path := filepath.Join(folder, name)
		when := time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	if err := templates.Copy(t.Context(), "new", filepath.Join(t.TempDir(), "copy"), fill("file")); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(folder, "*"))
	if len(left) != 3 || filepath.Base(left[0]) != "lock" || filepath.Base(left[1]) != "new" || filepath.Base(left[2]) != "used" {
		t.Errorf("left: %v", left)
	}
}

func TestCopyRefusesLinks(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if err := local.CopyFolder(t.Context(), from, filepath.Join(t.TempDir(), "to"), nil); err == nil {
		t.Error("a link was copied")
	}
}
