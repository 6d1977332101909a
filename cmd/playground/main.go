// Playground runs a Kubernetes cluster in one process, for demonstrations and tests: a real control plane with nodes
// that only pretend. Deployments become ready, Jobs complete, claims are bound and load balancers get an address, within
// seconds and without a container ever running.
//
// It is a module of its own, since k8s.io/kubernetes and Helm want different versions of the same libraries. The script
// build beside this file builds it once and says where it is.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
