// kubebox is one cluster's control plane in one process: etcd, kube-apiserver and kube-controller-manager.
//
// Everything it needs lives in --dir: keys, certificates, the token, etcd's data and the kubeconfig that names --address.
// They outlive the process, so a kubebox that was killed comes back as the same cluster. It prints one line
// {"ready":true,...} once the API answers and the custom resources of AKS' application routing are established.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	logsapi "k8s.io/component-base/logs/api/v1"
)

// Idle, this halves the garbage that the three components carry: 262 MB resident instead of 310.
const (
	gcPercent   = 40
	memoryLimit = 180 << 20 // bytes; a soft limit, the collector works harder above it
)

// closeWithin is the time that etcd has to close its files at the end; its log makes up for what is missing.
const closeWithin = time.Second

type options struct {
	dir     string
	address string
	port    int
	name    string
	issuer  string
}

func readOptions() (options, error) {
	var o options
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster's keys, data and kubeconfig (required; kept between runs)")
	flag.StringVar(&o.address, "address", "127.0.0.1", "IPv4 address of the API server, named by its certificate and the kubeconfig")
	flag.IntVar(&o.port, "port", 6443, "port of the API server")
	flag.StringVar(&o.name, "name", "kubebox", "name of cluster and context in the kubeconfig")
	flag.StringVar(&o.issuer, "issuer", "https://kubernetes.default.svc.cluster.local", "URL of who signs the tokens of service accounts")
	flag.Parse()
	if o.dir == "" {
		return o, fmt.Errorf("--dir is missing; give the folder that holds the cluster's keys and data")
	}
	if ip := net.ParseIP(o.address); ip == nil || ip.To4() == nil {
		return o, fmt.Errorf("--address is %q; allowed is an IPv4 address such as 127.0.10.130", o.address)
	}
	dir, err := filepath.Abs(o.dir)
	o.dir = dir
	return o, err
}

// tuneMemory leaves the runtime's own variables the last word.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// refuseUsedPort says in one line what the API server would say in a page.
func refuseUsedPort(o options) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", o.address, o.port))
	if err != nil {
		return fmt.Errorf("can't listen on %s:%d: %w; stop what uses it, or choose another --address or --port", o.address, o.port, err)
	}
	return listener.Close()
}

func run() error {
	began := time.Now()
	o, err := readOptions()
	if err != nil {
		return err
	}
	tuneMemory()
	if err := refuseUsedPort(o); err != nil {
		return err
	}
	cluster, err := openCluster(o)
	if err != nil {
		return err
	}
	store, err := startEtcd(filepath.Join(o.dir, "etcd"))
	if err != nil {
		return err
	}
	// Two components in one process: the second one applies the same logging options again, which is no mistake here.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()

	ended := make(chan error, 2)
	go func() { ended <- runAPIServer(ctx, cluster, store.url) }()
	prepared := make(chan error, 1)
	go func() {
		prepared <- prepareAPI(ctx, cluster, func() { go func() { ended <- runControllerManager(ctx, cluster) }() })
	}()

	for {
		select {
		case err := <-prepared:
			if err != nil && ctx.Err() == nil {
				return err
			}
			if err == nil {
				fmt.Printf("{\"ready\":true,\"server\":%q,\"kubeconfig\":%q,\"milliseconds\":%d}\n",
					cluster.server, cluster.kubeconfig, time.Since(began).Milliseconds())
			}
			prepared = nil
		case err := <-ended:
			if ctx.Err() == nil {
				store.close(closeWithin)
				return err
			}
		case <-ctx.Done():
			store.close(closeWithin)
			return nil
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kubebox:", err)
		os.Exit(1)
	}
	os.Exit(0) // the components' own goroutines have nothing left to save
}
