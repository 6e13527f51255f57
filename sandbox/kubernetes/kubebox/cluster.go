package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// cluster is what the components need to know of each other.
type cluster struct {
	options
	keys       *keyFolder
	server     string // https://address:port
	token      string // of the administrator
	authority  []byte // PEM
	kubeconfig string // the administrator's
}

func openCluster(o options) (*cluster, error) {
	keys, err := openKeyFolder(filepath.Join(o.dir, "pki"))
	if err != nil {
		return nil, err
	}
	server := []net.IP{net.ParseIP(o.address), net.IPv4(127, 0, 0, 1)}
	for _, l := range []leaf{
		{file: "apiserver", commonName: "kube-apiserver", addresses: server},
		// All controllers share one identity, which therefore must be an administrator's.
		{file: "controllers", commonName: "system:kube-controller-manager", organizations: []string{"system:masters"}},
		{file: "front-proxy", commonName: "front-proxy-client"},
		{file: "kubelet", commonName: "system:node:" + o.name, organizations: []string{"system:nodes"}, addresses: server},
		{file: "kubelet-client", commonName: "kube-apiserver-kubelet-client", organizations: []string{"system:masters"}},
	} {
		if err := keys.issue(l); err != nil {
			return nil, err
		}
	}
	if _, err := ensureKey(keys.path("service-accounts.key")); err != nil {
		return nil, err
	}
	c := &cluster{
		options:    o,
		keys:       keys,
		server:     fmt.Sprintf("https://%s:%d", o.address, o.port),
		kubeconfig: filepath.Join(o.dir, "kubeconfig"),
	}
	if c.authority, err = os.ReadFile(keys.path("ca.crt")); err != nil {
		return nil, err
	}
	if c.token, err = ensureToken(keys.path("tokens.csv")); err != nil {
		return nil, err
	}
	if err := c.writeKubeconfig(c.kubeconfig, "token: "+c.token); err != nil {
		return nil, err
	}
	user := fmt.Sprintf("client-certificate: %s, client-key: %s", keys.path("controllers.crt"), keys.path("controllers.key"))
	return c, c.writeKubeconfig(keys.path("controllers.kubeconfig"), user)
}

// ensureToken reads the administrator's token from the API server's token file, or makes both once.
func ensureToken(path string) (string, error) {
	if text, err := os.ReadFile(path); err == nil {
		if token, _, found := strings.Cut(string(text), ","); found && token != "" {
			return token, nil
		}
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	token := hex.EncodeToString(random)
	return token, os.WriteFile(path, []byte(token+`,clusterAdmin,clusterAdmin,"system:masters"`+"\n"), 0o600)
}

func (c *cluster) writeKubeconfig(path, user string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: "%[2]s", certificate-authority-data: %[3]s}
users:
- name: %[1]s
  user: {%[4]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s, namespace: default}
current-context: %[1]s
`, c.name, c.server, base64.StdEncoding.EncodeToString(c.authority), user)
	// Readers must never see half of it.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
