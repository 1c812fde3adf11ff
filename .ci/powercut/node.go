package main

import (
	"cmp"
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or folder of a disk as the kernel asks for it. The kernel itself keeps its
// tree of nodes the same as the disk's.
type node struct {
	fs.Inode
	disk *disk
	file *file
}

// handle is an open file.
type handle struct{ synced bool } // each write goes to the disk at once

const blockSize = 4096

func errno(err error) syscall.Errno { return fs.ToErrno(err) }

func (n *node) attributes(out *fuse.Attr) {
	f := n.file
	out.Ino, out.Mode, out.Owner = f.inode, f.mode, fuse.Owner{Uid: f.uid, Gid: f.gid}
	out.Size, out.Blksize, out.Nlink = uint64(len(f.data)), blockSize, f.links
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(&f.changed, &f.changed, &f.changed)
}

func (n *node) child(ctx context.Context, f *file, out *fuse.EntryOut) *fs.Inode {
	c := &node{disk: n.disk, file: f}
	c.attributes(&out.Attr)
	return n.NewInode(ctx, c, fs.StableAttr{Mode: f.mode & syscall.S_IFMT, Ino: f.inode})
}

// Lookup finds a name.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f := n.file.names[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, f, out), 0
}

// Readdir lists a folder.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	var list []fuse.DirEntry
	for name, f := range n.file.names {
		list = append(list, fuse.DirEntry{Name: name, Mode: f.mode & syscall.S_IFMT, Ino: f.inode})
	}
	slices.SortFunc(list, func(a, b fuse.DirEntry) int { return cmp.Compare(a.Name, b.Name) })
	return fs.NewListDirStream(list), 0
}

// add makes a file or folder that is named.
func (n *node) add(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.file.names[name] != nil {
		return nil, syscall.EEXIST
	}
	if n.disk.limit > 0 && n.disk.used >= n.disk.limit {
		return nil, syscall.ENOSPC
	}
	var uid, gid uint32
	if caller, ok := fuse.FromContext(ctx); ok {
		uid, gid = caller.Uid, caller.Gid
	}
	f := n.disk.newFile(mode, uid, gid)
	n.disk.name(n.file, name, f)
	return n.child(ctx, f, out), 0
}

// Mkdir makes a folder.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, syscall.S_IFDIR|mode&0o7777, out)
}

// Create makes a file and opens it.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, err := n.add(ctx, name, syscall.S_IFREG|mode&0o7777, out)
	return inode, opened(flags), fuse.FOPEN_DIRECT_IO, err
}

// Open opens a file.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return opened(flags), fuse.FOPEN_DIRECT_IO, 0
}

func opened(flags uint32) *handle {
	return &handle{synced: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

// Unlink takes a file's name away.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.file.names[name] == nil {
		return syscall.ENOENT
	}
	n.disk.name(n.file, name, nil)
	return 0
}

// Rmdir takes an empty folder away.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	switch f := n.file.names[name]; {
	case f == nil:
		return syscall.ENOENT
	case len(f.names) > 0:
		return syscall.ENOTEMPTY
	}
	n.disk.name(n.file, name, nil)
	return 0
}

// Rename gives a file or folder another name, at once on disk or not at all.
func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	d, to := n.disk, parent.(*node).file
	f, old := n.file.names[name], to.names[newName]
	switch {
	case flags != 0:
		return syscall.EINVAL
	case f == nil:
		return syscall.ENOENT
	case old != nil && len(old.names) > 0:
		return syscall.ENOTEMPTY
	case f == old:
		return 0
	}
	d.name(to, newName, f)
	d.name(n.file, name, nil)
	last := d.journal[len(d.journal)-2:]
	both := []func(){last[0], last[1]}
	d.journal = append(d.journal[:len(d.journal)-2], func() { both[0](); both[1]() })
	return 0
}

// Getattr tells size, owner and mode.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.attributes(&out.Attr)
	return 0
}

// Setattr changes size, owner, mode or time.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f := n.file
	if size, ok := in.GetSize(); ok {
		if err := n.disk.resize(f, int64(size)); err != nil { //nolint:gosec // the kernel's sizes are below 2^63
			return errno(err)
		}
	}
	if mode, ok := in.GetMode(); ok {
		f.mode = f.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		f.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		f.gid = gid
	}
	if at, ok := in.GetMTime(); ok {
		f.changed = at
	}
	n.attributes(&out.Attr)
	return 0
}

// Read reads.
func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	data := n.file.data
	read := copy(dest, data[min(at, int64(len(data))):])
	return fuse.ReadResultData(dest[:read]), 0
}

// Write writes, to the disk itself where the file was opened so.
func (n *node) Write(_ context.Context, h fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.write(n.file, data, at); err != nil {
		return 0, errno(err)
	}
	if h, ok := h.(*handle); ok && h.synced {
		n.disk.sync(n.file)
	}
	return uint32(len(data)), 0 //nolint:gosec // at most MaxWrite
}

// Allocate makes a file longer.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, at, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	end := int64(at + size) //nolint:gosec // the kernel's sizes are below 2^63
	if end <= int64(len(n.file.data)) {
		return 0
	}
	return errno(n.disk.resize(n.file, end))
}

// Fsync writes a file or a folder to the disk.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.disk.sync(n.file)
	return 0
}

// Flush is a file that is closed: that syncs nothing.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Statfs tells how much room there is.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	limit := n.disk.limit
	if limit == 0 {
		limit = 1 << 40
	}
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks = uint64(limit) / blockSize
	out.Bfree = uint64(max(0, limit-n.disk.used)) / blockSize
	out.Bavail, out.Files, out.Ffree = out.Bfree, 1<<20, 1<<20
	return 0
}

// mount serves the disk in a folder.
func (d *disk) mount(folder string, root bool) (*fuse.Server, error) {
	forever := time.Hour // nobody changes anything but through the kernel
	return fs.Mount(folder, &node{disk: d, file: d.root}, &fs.Options{
		EntryTimeout: &forever, AttrTimeout: &forever,
		MountOptions: fuse.MountOptions{
			Name: "powercut", FsName: "powercut", DirectMount: true, MaxWrite: 1 << 19,
			AllowOther: root, // PostgreSQL runs as a user of its own
		},
	})
}
