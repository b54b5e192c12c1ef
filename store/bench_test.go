package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"twokey/store"
	"twokey/store/storetest"
)

// BenchmarkVote measures one vote with everything that makes it durable,
// beside the least that a disk can do for it: writing 4 kB into a file of the
// same folder, and fsync. Both take turns, so that a slow moment of the disk
// hits both; reported are medians.
func BenchmarkVote(b *testing.B) {
	dir := b.TempDir()
	s, err := store.Open(filepath.Join(dir, "store.db"), store.Options{})
	must(b, err)
	defer s.Close()
	floor, err := os.Create(filepath.Join(dir, "floor"))
	must(b, err)
	defer floor.Close()
	var votes, writes []time.Duration
	page := make([]byte, 4096)
	for i := 0; b.Loop(); i++ {
		id, now := fmt.Sprintf("%09d", i), time.Now()
		r, events := storetest.Ask(id, "pair "+id, now)
		_, err := s.Create(b.Context(), r, events)
		must(b, err)
		votes = append(votes, timed(b, func() error {
			_, err := s.Update(b.Context(), id, storetest.Yes("dba-1", now))
			return err
		}))
		writes = append(writes, timed(b, func() error {
			if _, err := floor.WriteAt(page, int64(i%256)*4096); err != nil {
				return err
			}
			return floor.Sync()
		}))
	}
	vote, write := median(votes), median(writes)
	b.ReportMetric(0, "ns/op") // it would count the request's creation
	b.ReportMetric(float64(vote.Microseconds())/1000, "vote-ms")
	b.ReportMetric(float64(write.Microseconds())/1000, "floor-ms")
	b.ReportMetric(float64(vote)/float64(write), "vote/floor")
}

// BenchmarkOpen measures opening a store in which a year of work lies, with the
// check of the whole file.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	s, err := store.Open(path, store.Options{})
	must(b, err)
	store.NoSync(s)
	for i := range 5000 {
		r, events := storetest.Ask(fmt.Sprintf("%09d", i), fmt.Sprint("pair ", i), time.Now())
		_, err := s.Create(b.Context(), r, events)
		must(b, err)
	}
	must(b, s.Close())
	info, err := os.Stat(path)
	must(b, err)
	for b.Loop() {
		s, err := store.Open(path, store.Options{})
		must(b, err)
		must(b, s.Close())
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
}

func timed(b *testing.B, do func() error) time.Duration {
	b.Helper()
	began := time.Now()
	must(b, do())
	return time.Since(began)
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}
