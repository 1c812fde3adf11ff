// Command image makes the images of the programs, without a daemon: one layer with certificate
// authorities and time zones, one with the program and what it was built from (an SBOM in
// CycloneDX). Same commit, same digest.
//
//	go run ./image -out ../../bin                     archives for docker load
//	go run ./image -push registry.example -tag 1.2.3  into a registry, as docker login has it
package main
