// Sandboxes on kernels that lack something: what is said, and that each layer holds by itself.

import CLinux
import Glibc
import Sandbox
import Spawn
import Testing

@Suite struct ProtectionTests {
    @Test func anOlderKernelsLacksAreNamed() {
        let debian = Protections(KernelFeatures(landlock: 2, filters: true, stops: true))
        #expect(debian.applied.contains("Landlock: files"))
        #expect(
            debian.missing == [
                "Landlock: truncating files (Linux 6.2)", "Landlock: TCP (Linux 6.7)", "Landlock: requests to device files (Linux 6.10)",
                "Landlock: abstract sockets and signals (Linux 6.12)",
            ])
        let none = Protections(KernelFeatures(landlock: 0, filters: false, stops: false))
        #expect(none.applied == ["no new privileges", "no capabilities", "resource limits"])
        #expect(none.missing.count == 8)
        let newest = Protections(KernelFeatures(landlock: 99, filters: true, stops: true))
        #expect(newest.missing.isEmpty)
        #expect(newest.applied.count == 11)
    }
}

@Suite struct SandboxedChildTests {
    /// The filter's listener goes over a socket, for which the user may have only so many descriptors on their way: as many as who sends may have open.
    @Test func startsWhileTheUserHasDescriptorsOnTheirWay() throws {
        var pair: [Int32] = [-1, -1]
        #expect(clinux_stream_pair(&pair) == 0)
        defer { for descriptor in pair { close(descriptor) } }
        let descriptors = [Int32](repeating: pair[0], count: Int(CLINUX_MAX_DESCRIPTORS))
        // More than a driver may have open.
        for _ in 0..<20 { #expect(clinux_send(pair[0], "x", 1, descriptors, CLINUX_MAX_DESCRIPTORS, 0) == 1) }
        let ended = try run("/bin/true", [], .present)
        #expect(ended.end == .exited(status: 0), "\(ended.output)")
    }

    /// Runs a program of the system in the sandbox of a driver, as a kernel with these features makes it.
    private func run(_ path: String, _ arguments: [String], _ features: KernelFeatures = .present) throws -> (
        end: ChildProcess.End, output: String
    ) {
        var ends: [Int32] = [-1, -1]
        #expect(clinux_pipe(&ends) == 0)
        let resolved = try #require(realpath(path, nil))
        defer { free(resolved) }
        let child = try ChildProcess(
            path: String(cString: resolved),
            ChildProcess.Plan(
                arguments: [path] + arguments, descriptors: [nil, ends[1], ends[1]],
                sandbox: try PreparedSandbox(.driver(kind: "webcam"), features: features)))
        close(ends[1])
        defer { close(ends[0]) }
        // A stopped call waits for ever where nobody listens.
        if let calls = child.forbiddenCalls {
            var entries = [
                pollfd(fd: calls.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            poll(&entries, 2, -1)
            if entries[0].revents & Int16(POLLIN) != 0, let call = calls.next() {
                try child.kill(SIGKILL)
                return (try #require(try child.wait()), call.name)
            }
        }
        let end = try #require(try child.wait())
        var output = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &output, output.count)
        return (end, String(decoding: output.prefix(max(0, count)), as: UTF8.self))
    }

    @Test func aProgramThatAsksForNothingRuns() throws {
        #expect(try run("/bin/true", []).end == .exited(status: 0))
    }

    @Test func theForbiddenCallIsNamed() throws {
        let (end, call) = try run("/usr/bin/env", ["true"])
        #expect(end == .signaled(SIGKILL, dumped: false))
        #expect(call == "execve")
    }

    @Test func withoutAListenerTheCallEndsTheProcess() throws {
        let features = KernelFeatures(landlock: 0, filters: true, stops: false)
        #expect(try run("/usr/bin/env", ["true"], features).end == .signaled(SIGSYS, dumped: false))
    }

    /// Without the filter Landlock refuses, and the process lives to say so.
    @Test(
        .enabled(if: KernelFeatures.present.landlock > 0, "the kernel has no Landlock"),
        arguments: [
            ("/bin/cat", ["/etc/passwd"]), ("/bin/mkdir", ["/tmp/never"]), ("/bin/ls", ["/"]), ("/bin/cp", ["/dev/null", "/tmp/never"]),
            ("/bin/rm", ["/tmp/never"]), ("/bin/sh", ["-c", "exec /bin/true"]), ("/bin/sh", ["-c", "echo x > /tmp/never"]),
        ]) func landlockHoldsByItself(program: String, arguments: [String]) throws
    {
        let features = KernelFeatures(landlock: KernelFeatures.present.landlock, filters: false, stops: false)
        #expect(try run("/bin/true", [], features).end == .exited(status: 0))
        let (end, output) = try run(program, arguments, features)
        // That sh may run what lies in the library folders is Landlock's right to execute; with the filter nothing is executed at all.
        if arguments.last == "exec /bin/true" { return #expect(end != .exited(status: 0)) }
        #expect(end != .exited(status: 0), "\(output)")
        #expect(output.contains("ermission denied") || output.contains("annot"), "\(output)")
    }

    @Test func theProcessHasNoPrivilegesAndGetsNone() throws {
        let resolved = try #require(realpath("/bin/sleep", nil))
        defer { free(resolved) }
        let child = try ChildProcess(
            path: String(cString: resolved),
            ChildProcess.Plan(
                arguments: ["sleep", "1000"], descriptors: [nil, nil, nil], sandbox: try PreparedSandbox(.driver(kind: "webcam"))))
        let limits = try #require(fopen("/proc/\(child.processID)/status", "r"))
        var text = [UInt8](repeating: 0, count: 4096)
        let count = fread(&text, 1, text.count, limits)
        fclose(limits)
        let facts = String(decoding: text.prefix(count), as: UTF8.self)
        #expect(facts.contains("NoNewPrivs:\t1"))
        #expect(facts.contains("CapEff:\t0000000000000000"))
        #expect(facts.contains("CapPrm:\t0000000000000000"))
        try child.kill(SIGKILL)
        #expect(try child.wait() == .signaled(SIGKILL, dumped: false))
    }
}
