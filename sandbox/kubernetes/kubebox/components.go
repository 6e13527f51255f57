package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// controllers are those that a cluster of pods on one node needs. The endpoints controller is kept for clients that read
// v1 Endpoints, as Pulumi's wait for a Service does.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller",
	"job-controller", "cronjob-controller", "ttl-after-finished-controller",
	"endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller",
	"namespace-controller", "serviceaccount-controller", "serviceaccount-token-controller",
	"root-ca-certificate-publisher-controller", "garbage-collector-controller", "pod-garbage-collector-controller",
	"horizontal-pod-autoscaler-controller", "disruption-controller", "resourcequota-controller",
	"clusterrole-aggregation-controller",
}

// serviceRange is routed nowhere: there is no cluster network, only names and the ingress lead to a Service.
const serviceRange = "172.30.0.0/16"

func runAPIServer(ctx context.Context, c *cluster, etcd string) error {
	key := c.keys.path
	err := serveAPI(ctx, c, []string{
		"--etcd-servers=" + etcd,
		"--bind-address=" + c.address, "--advertise-address=" + c.address, "--secure-port=" + strconv.Itoa(c.port),
		"--endpoint-reconciler-type=none", // a loopback address is not allowed in Endpoints
		"--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"),
		"--client-ca-file=" + key("ca.crt"),
		"--token-auth-file=" + key("tokens.csv"),
		"--kubelet-certificate-authority=" + key("ca.crt"),
		"--kubelet-client-certificate=" + key("kubelet-client.crt"), "--kubelet-client-key=" + key("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + key("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + key("front-proxy.crt"), "--proxy-client-key-file=" + key("front-proxy.key"),
		"--service-account-issuer=" + c.issuer,
		"--service-account-key-file=" + key("service-accounts.key"),
		"--service-account-signing-key-file=" + key("service-accounts.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC", "--profiling=false", "--enable-priority-and-fairness=false",
		"--feature-gates=WatchCacheInitializationPostStartHook=true",      // ready is who answers, not who asks to come again
		"--max-requests-inflight=0", "--max-mutating-requests-inflight=0", // 0: no limit
		"--shutdown-delay-duration=0s",
	})
	return fmt.Errorf("kube-apiserver ended: %w", orUnasked(err))
}

// serveAPI does what the command kube-apiserver does with its arguments, and puts the cluster's faults in front.
func serveAPI(ctx context.Context, c *cluster, args []string) error {
	options := apiserveroptions.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range options.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := options.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	gates := options.GenericServerRunOptions.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(options.Logs, gates); err != nil {
		return err
	}
	completed, err := options.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	config, err := apiserver.NewConfig(completed)
	if err != nil {
		return err
	}
	outermost := config.Aggregator.GenericConfig
	outermost.BuildHandlerChainFunc = newFaults(c).wrap(outermost.BuildHandlerChainFunc)
	whole, err := config.Complete()
	if err != nil {
		return err
	}
	chain, err := apiserver.CreateServerChain(whole)
	if err != nil {
		return err
	}
	prepared, err := chain.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}

func runControllerManager(ctx context.Context, c *cluster) error {
	key := c.keys.path
	command := controllermanager.NewControllerManagerCommand()
	command.SetArgs([]string{
		"--kubeconfig=" + key("controllers.kubeconfig"),
		"--authentication-kubeconfig=" + key("controllers.kubeconfig"),
		"--authorization-kubeconfig=" + key("controllers.kubeconfig"),
		"--secure-port=0", "--leader-elect=false", "--profiling=false",
		"--controllers=" + strings.Join(controllers, ","), "--use-service-account-credentials=false",
		"--service-account-private-key-file=" + key("service-accounts.key"), "--root-ca-file=" + key("ca.crt"),
		"--controller-start-interval=0s", "--kube-api-qps=200", "--kube-api-burst=400",
	})
	return fmt.Errorf("kube-controller-manager ended: %w", orUnasked(command.ExecuteContext(ctx)))
}

func orUnasked(err error) error {
	if err == nil {
		return fmt.Errorf("nobody asked it to")
	}
	return err
}
