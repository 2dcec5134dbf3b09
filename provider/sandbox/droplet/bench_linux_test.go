package droplet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkCreate measures from the start of a new droplet to the answer of its first command.
func BenchmarkCreate(b *testing.B) {
	l := newLab(b)
	l.start(l.spec("first")) // the binary is copied once
	var took []time.Duration
	for i := range b.N {
		s := l.spec("b" + strconv.Itoa(i))
		began := time.Now()
		l.start(s)
		if got := l.run(s, "echo hi"); got != "hi\n" {
			b.Fatal(got)
		}
		took = append(took, time.Since(began))
		b.StopTimer()
		check(b, l.host.Remove(l.context(), s.ID))
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkFifty measures fifty droplets that start at once, and the memory of one that is idle.
func BenchmarkFifty(b *testing.B) {
	l := newLab(b)
	l.start(l.spec("first"))
	specs := make([]Spec, 50)
	for i := range specs {
		specs[i] = l.spec("f" + strconv.Itoa(i))
	}
	for range b.N {
		var all sync.WaitGroup
		for _, s := range specs {
			all.Go(func() {
				if err := l.host.Start(l.context(), s); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		b.StopTimer()
		var kilobytes int
		for _, m := range l.host.all() {
			kilobytes += proportional(b, m.cmd.Process.Pid)
		}
		b.ReportMetric(float64(kilobytes)/51/1024, "MB-each")
		for _, s := range specs {
			all.Go(func() {
				if err := l.host.Remove(l.context(), s.ID); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		b.StartTimer()
	}
}

// proportional is the memory that a process uses, shared pages divided among those who share them, in kB.
func proportional(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	check(b, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			n, err := strconv.Atoi(f[1])
			check(b, err)
			return n
		}
	}
	b.Fatal("no Pss in smaps_rollup")
	return 0
}

// BenchmarkSnapshot measures a snapshot of 100 MB, and its restore.
func BenchmarkSnapshot(b *testing.B) {
	l := newLab(b)
	s := l.spec("snap")
	l.start(s)
	l.run(s, "head -c 100M /dev/urandom > /root/data")
	file := filepath.Join(b.TempDir(), "snapshot")
	b.Run("save", func(b *testing.B) {
		b.SetBytes(100 << 20)
		for range b.N {
			if _, err := l.host.Save(l.context(), "snap", file); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(100 << 20)
		for range b.N {
			check(b, l.host.Load(l.context(), "copy", file))
		}
	})
}
