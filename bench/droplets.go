package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// measureDroplets measures the cloud in a box through its API alone. Where this
// machine allows it no shells, there is nothing to measure.
func measureDroplets(ctx context.Context, l *lab) (_ []result, err error) {
	bare, err := l.program(ctx, "bench/bare")
	if err != nil {
		return nil, err
	}
	c, err := openCloud(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if !c.shells() {
		return nil, nil
	}
	one, err := measureCreates(ctx, l, c, bare)
	if err != nil {
		return nil, err
	}
	many, err := measureBurst(ctx, l, c, bare)
	if err != nil {
		return nil, err
	}
	disks, err := measureSnapshots(ctx, l, c)
	if err != nil {
		return nil, err
	}
	return append(append(one, many...), disks...), nil
}

// measureCreates makes one droplet after the other. The baseline starts a small
// server in namespaces of the same kinds, until it says that it listens.
func measureCreates(ctx context.Context, l *lab, c *cloud, bare string) ([]result, error) {
	each := l.pick(10, 4) // a round
	seen, err := interleave(ctx, l.pick(5, 2),
		func(ctx context.Context) ([]float64, error) {
			return times(each, func() (time.Duration, error) {
				began := time.Now()
				d, err := c.create(ctx, image)
				if err != nil {
					return 0, err
				}
				return time.Since(began), c.destroy(ctx, d)
			})
		},
		func(ctx context.Context) ([]float64, error) {
			return times(each, func() (time.Duration, error) {
				began := time.Now()
				p, err := startApart(ctx, bare)
				if err != nil {
					return 0, err
				}
				return time.Since(began), p.stop()
			})
		},
	)
	if err != nil {
		return nil, err
	}
	const against = "bare server in new namespaces"
	return []result{
		newResult("droplet, from create to the first SSH command, p50", "ms", compare(seen[0], seen[1], median), against, nil),
		newResult("droplet, from create to the first SSH command, p99", "ms", compare(seen[0], seen[1], p99), against, nil),
	}, nil
}

// times calls do so often and returns what it timed, in milliseconds.
func times(count int, do func() (time.Duration, error)) ([]float64, error) {
	var took []float64
	for range count {
		d, err := do()
		if err != nil {
			return nil, err
		}
		took = append(took, milliseconds(d))
	}
	return took, nil
}

// measureBurst makes fifty droplets at once, and reads what memory one of them
// takes while it is idle.
func measureBurst(ctx context.Context, l *lab, c *cloud, bare string) ([]result, error) {
	count := l.pick(50, 10)
	var mu sync.Mutex
	var droplets []*machine
	var servers []*process
	tookOurs, err := atOnce(count, func() error {
		d, err := c.create(ctx, image)
		mu.Lock()
		defer mu.Unlock()
		droplets = append(droplets, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	tookTheirs, failed := atOnce(count, func() error {
		p, err := startApart(ctx, bare)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		servers = append(servers, p)
		return nil
	})
	our, err := descendants(servers)
	their := 0.0
	for _, p := range servers {
		pss, err := memory(p.cmd.Process.Pid, "smaps_rollup", "Pss:")
		failed = errors.Join(failed, err, p.stop())
		their += pss
	}
	for _, d := range droplets {
		failed = errors.Join(failed, c.destroy(ctx, d))
	}
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	n := float64(count)
	return []result{
		newResult(fmt.Sprintf("%d droplets created at once, until all answer SSH", count), "ms",
			compare(series{{tookOurs}}, series{{tookTheirs}}, median), fmt.Sprintf("%d bare servers in new namespaces", count), nil),
		newResult("proportional memory of an idle droplet", "MB", compare(series{{our / n}}, series{{their / n}}, median), "bare server", nil),
	}, nil
}

// atOnce is how long it takes until all have done it, in milliseconds.
func atOnce(count int, do func() error) (float64, error) {
	errs := make([]error, count)
	var all sync.WaitGroup
	began := time.Now()
	for i := range count {
		all.Go(func() { errs[i] = do() })
	}
	all.Wait()
	return milliseconds(time.Since(began)), errors.Join(errs...)
}

// megabytes is how much a disk holds that is saved and restored.
const megabytes = 100

// measureSnapshots saves a droplet's disk with a large file on it, and makes
// another droplet of it. The baselines pack and unpack such a file by tar.
func measureSnapshots(ctx context.Context, l *lab, c *cloud) (_ []result, err error) {
	d, err := c.create(ctx, image)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.destroy(ctx, d)) }()
	if err := d.run(ctx, fmt.Sprintf("head -c %dM /dev/urandom > /root/data && sync", megabytes)); err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "data")
	if err := writeRandom(file, megabytes<<20); err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "data.tar")
	var snapshot reference
	seen, err := interleave(ctx, l.pick(3, 1),
		timed(func(ctx context.Context) (err error) { snapshot, err = c.snapshot(ctx, d); return err }),
		timed(func(context.Context) error { return pack(archive, file) }),
		timed(func(ctx context.Context) error { return c.restore(ctx, snapshot) }),
		timed(func(context.Context) error { return unpack(archive, filepath.Join(dir, "copy")) }),
	)
	if err != nil {
		return nil, err
	}
	return []result{
		newResult(fmt.Sprintf("snapshot of a droplet with %d MB", megabytes), "ms", compare(seen[0], seen[1], median), "tar to the same disk", nil),
		newResult(fmt.Sprintf("restore of %d MB into a new droplet that answers SSH", megabytes), "ms", compare(seen[2], seen[3], median), "untar on the same disk", nil),
	}, nil
}

// timed is a take of how long something lasts, in milliseconds.
func timed(do func(context.Context) error) take {
	return func(ctx context.Context) ([]float64, error) {
		began := time.Now()
		err := do(ctx)
		return []float64{milliseconds(time.Since(began))}, err
	}
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))
