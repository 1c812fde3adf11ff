package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// disk is a file system in memory, twice: as programs see it, and as it would be found after
// a power cut.
//
// Its model is ext4's and XFS's. What was written to a file is there after its fsync, or
// after a write to a file that was opened with O_SYNC. What was done to names (created,
// renamed, removed) and files that were made shorter go through one journal, in order, and
// any fsync, of a file or a folder, commits all of the journal before it. Nothing is written
// by itself, however long it waits, and renaming a file onto another does not sync it.
type disk struct {
	mu      sync.Mutex
	root    *file
	journal []func() // what was done to names and sizes, and is not on disk yet
	inodes  uint64
	limit   int64 // bytes of all files together; 0: none
	used    int64
}

// file is a file or a folder.
type file struct {
	inode    uint64
	mode     uint32 // with its type
	uid, gid uint32
	changed  time.Time
	links    uint32

	data    []byte
	onDisk  []byte
	pending []*write // to data, and not on disk yet

	names       map[string]*file
	namesOnDisk map[string]*file
}

// write is what was done to the data of a file.
type write struct {
	at   int64
	data []byte // nil: the file was made so long, or so short
	done bool   // it is on disk
}

func newDisk(limit int64) *disk {
	d := &disk{limit: limit}
	d.root = d.newFile(syscall.S_IFDIR|0o755, 0, 0)
	d.root.links = 1
	return d
}

func (d *disk) newFile(mode, uid, gid uint32) *file {
	d.inodes++
	f := &file{inode: d.inodes, mode: mode, uid: uid, gid: gid, changed: time.Now()}
	if f.isFolder() {
		f.names, f.namesOnDisk = map[string]*file{}, map[string]*file{}
	}
	return f
}

func (f *file) isFolder() bool { return f.mode&syscall.S_IFMT == syscall.S_IFDIR }

// name puts a file under a name, in the place of one that is there, or takes the name away.
func (d *disk) name(folder *file, name string, f *file) {
	if old := folder.names[name]; old != nil {
		if old.links--; old.links == 0 {
			d.used -= int64(len(old.data))
		}
	}
	set(folder.names, name, f)
	if f != nil {
		if f.links++; f.links == 1 {
			d.used += int64(len(f.data))
		}
	}
	folder.changed = time.Now()
	d.journal = append(d.journal, func() { set(folder.namesOnDisk, name, f) })
}

func set(names map[string]*file, name string, f *file) {
	if f == nil {
		delete(names, name)
	} else {
		names[name] = f
	}
}

// grow takes room on the disk for what a file becomes longer, if there is some.
func (d *disk) grow(f *file, size int64) error {
	more := size - int64(len(f.data))
	if more <= 0 {
		return nil
	}
	if d.limit > 0 && d.used+more > d.limit {
		return syscall.ENOSPC
	}
	if f.links > 0 {
		d.used += more
	}
	return nil
}

func (d *disk) write(f *file, data []byte, at int64) error {
	if err := d.grow(f, at+int64(len(data))); err != nil {
		return err
	}
	w := &write{at: at, data: bytes.Clone(data)}
	f.data = w.applied(f.data)
	f.pending = append(f.pending, w)
	f.changed = time.Now()
	return nil
}

// resize makes a file so long.
func (d *disk) resize(f *file, size int64) error {
	if err := d.grow(f, size); err != nil {
		return err
	}
	w := &write{at: size}
	if less := int64(len(f.data)) - size; less > 0 {
		if f.links > 0 {
			d.used -= less
		}
		d.journal = append(d.journal, func() {
			if !w.done {
				f.onDisk = f.onDisk[:min(int64(len(f.onDisk)), size)]
			}
		})
	}
	f.data = w.applied(f.data)
	f.pending = append(f.pending, w)
	f.changed = time.Now()
	return nil
}

// applied is what data becomes.
func (w *write) applied(data []byte) []byte {
	end := w.at + int64(len(w.data))
	if more := end - int64(len(data)); more > 0 {
		data = append(data, make([]byte, more)...)
	}
	if w.data == nil {
		return data[:w.at]
	}
	copy(data[w.at:end], w.data)
	return data
}

// sync writes a file to the disk, and the journal.
func (d *disk) sync(f *file) {
	f.write(len(f.pending))
	d.commit(len(d.journal))
}

// write writes the first n pending changes of a file to the disk.
func (f *file) write(n int) {
	for _, w := range f.pending[:n] {
		f.onDisk = w.applied(f.onDisk)
		w.done = true
	}
	f.pending = f.pending[n:]
}

func (d *disk) commit(n int) {
	for _, operation := range d.journal[:n] {
		operation()
	}
	d.journal = d.journal[n:]
}

// cut leaves what is on disk. Where chance is given, a part of what was not synced had been
// written all the same: of the journal and of each file, all up to some moment.
func (d *disk) cut(chance *rand.Rand) {
	if chance != nil {
		d.commit(chance.IntN(len(d.journal) + 1))
	}
	d.journal = nil
	d.used = 0
	d.restore(d.root, map[*file]bool{}, chance)
}

func (d *disk) restore(f *file, done map[*file]bool, chance *rand.Rand) {
	if done[f] {
		f.links++
		return
	}
	done[f] = true
	if chance != nil {
		f.write(chance.IntN(len(f.pending) + 1))
	}
	f.pending, f.links = nil, 1
	f.data = bytes.Clone(f.onDisk)
	d.used += int64(len(f.data))
	f.names = maps.Clone(f.namesOnDisk)
	for _, name := range slices.Sorted(maps.Keys(f.names)) { // in one order, for the sake of chance
		d.restore(f.names[name], done, chance)
	}
}
