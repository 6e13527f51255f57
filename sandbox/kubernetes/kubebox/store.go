package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	walSegmentBytes = 4 << 20 // the default sets 2 x 64 MB of disk aside
	slowRequest     = 500 * time.Millisecond
)

type store struct {
	etcd *embed.Etcd
	url  string
}

// freeURL names a port of 127.0.0.1 that nobody listens on.
func freeURL() (url.URL, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	defer listener.Close()
	return url.URL{Scheme: "http", Host: listener.Addr().String()}, nil
}

func startEtcd(dir string) (*store, error) {
	// etcd makes its folder itself, and warns when others can read it.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	client, err := freeURL()
	if err != nil {
		return nil, err
	}
	peer, err := freeURL()
	if err != nil {
		return nil, err
	}
	wal.SegmentSizeBytes = walSegmentBytes
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.WarningUnaryRequestDuration = slowRequest // unset, every request is called slow
	cfg.UnsafeNoFsync = true                      // survives a killed process, not a machine without power: enough here
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "5m"
	logging := zap.NewProductionConfig()
	logging.Level = zap.NewAtomicLevelAt(zapcore.WarnLevel)
	logger, err := logging.Build()
	if err != nil {
		return nil, err
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd can't start in %s: %w", dir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return &store{etcd, client.String()}, nil
	case err := <-etcd.Err():
		return nil, fmt.Errorf("etcd can't start in %s: %w", dir, err)
	}
}

func (s *store) close(within time.Duration) {
	closed := make(chan struct{})
	go func() {
		s.etcd.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(within):
	}
}
