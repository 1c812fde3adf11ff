//go:build torture

package jetstream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store/jetstream/natstest"
	"casdelius/store/torturetest"
)

// cuts is how often the whole torture cuts the power, with so many events acknowledged before
// each at least.
const cuts, betweenCuts = 10, 2000

// TestTorturePowerCutsOfAllServers cuts the power of all three servers at once, again and
// again, with many acknowledgements in flight. At each second cut nothing is left that was not
// synced, at the others a part of it by chance.
func TestTorturePowerCutsOfAllServers(t *testing.T) {
	t.Parallel()
	for name, replicas := range map[string]int{"three replicas": 3, "one replica": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startPowered(t, natstest.Options{}, replicas)
			random := torturetest.Random(t)
			l := &load{append: appendTo(c.log)}
			l.start(t)
			rounds := torturetest.Part(t, cuts)
			for round := range rounds {
				l.after(t, betweenCuts+random.IntN(10*inFlight))
				killAll(c.servers)
				for _, d := range c.disks {
					if round%2 == 0 {
						d.Cut(t)
					} else {
						d.CutByChance(t, random.Uint64())
					}
				}
				require.NoError(t, natstest.StartAll(c.servers...))
			}
			l.after(t, inFlight)
			l.stop()
			torturetest.Figure(t, "power cuts of three servers, "+name, rounds)
			torturetest.Figure(t, "acknowledged, "+name, len(l.acknowledged))
			l.requireKept(t, c.log)
		})
	}
}

// TestTortureControlPowerCutsCatchServersThatDoNotSync: servers that sync every two minutes,
// which is the default of NATS.
func TestTortureControlPowerCutsCatchServersThatDoNotSync(t *testing.T) {
	t.Parallel()
	torturetest.RequireCaught(t, "acknowledged but gone", func(tb testing.TB) {
		c := startPowered(tb, natstest.Options{Lazy: true}, 3)
		l := &load{append: appendTo(c.log)}
		l.start(tb)
		l.after(tb, betweenCuts)
		l.stop()
		killAll(c.servers)
		for _, d := range c.disks {
			d.Cut(tb)
		}
		require.NoError(tb, natstest.StartAll(c.servers...))
		c.ensure(tb) // the stream itself may be gone
		l.requireKept(tb, c.log)
	})
}

// powered is a cluster whose servers have a disk each.
type powered struct {
	cluster
	disks []*torturetest.Disk
}

func startPowered(tb testing.TB, o natstest.Options, replicas int) powered {
	tb.Helper()
	var disks []*torturetest.Disk
	var folders []string
	for range 3 {
		d := torturetest.NewDisk(tb)
		disks, folders = append(disks, d), append(folders, d.Folder)
	}
	return powered{startCluster(tb, o, replicas, folders...), disks}
}
