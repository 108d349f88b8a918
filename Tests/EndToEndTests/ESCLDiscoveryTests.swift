// Scanners that are found: Avahi announces what `userdriver-escl` serves, and SANE lists it.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(
        .serialized,
        .enabled(if: access(Programs.folder + "/userdriver-escl", X_OK) == 0, "userdriver-escl is not built: run make build"),
        .enabled(if: AvahiSession.obstacle == nil, "nothing is announced: \(AvahiSession.obstacle ?? "")"))
    struct ESCLDiscoveryTests {
        private static let scanimageIsThere = ["/usr/bin/scanimage", "/etc/sane.d/airscan.conf"]
            .allSatisfy { (path: String) in access(path, R_OK) == 0 }

        private static func serve(_ bench: Bench, _ avahi: AvahiSession) async throws -> Running {
            let port = Int.random(in: 20_000...50_000)
            let server = try Programs.start(
                "userdriver-escl", ["--runtime-dir", bench.runtime, "--port", "\(port)"], environment: avahi.environment)
            try await server.waitForOutput { $0.contains("\n") }
            return server
        }

        /// The only `userdriver-announce` among the children of that process.
        private static func announcer(of server: Running) throws -> Int32 {
            let entries = try FileManager.default.contentsOfDirectory(atPath: "/proc")
            let found = entries.compactMap(Int32.init).filter { pid in
                guard let status = FileManager.default.contents(atPath: "/proc/\(pid)/status") else { return false }
                let text = String(decoding: status, as: UTF8.self)
                return text.hasPrefix("Name:\tuserdriver-anno") && text.contains("\nPPid:\t\(server.pid)\n")
            }
            #expect(found.count == 1)
            return try #require(found.first)
        }

        @Test func `a scanner is announced while it is there, and again after each death`() async throws {
            let avahi = try await AvahiSession.start()
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "1"])
            let server = try await Self.serve(bench, avahi)
            let port = try #require(
                URLComponents(string: String(server.output.prefix { $0 != 0x20 }.map { Character(UnicodeScalar($0)) }))?.port)
            let first = try await avahi.waitForScanners { $0.count == 1 }
            #expect(first[0].hasPrefix("UserDriver\\032Emulated\\032Scanner\\032\\040USB\\041 \(port) "))
            for string in ["txtvers=1", "rs=eSCL", "is=platen,adf", "duplex=T", "cs=color,grayscale,binary"] {
                #expect(first[0].contains("\"\(string)\""), "\(first[0])")
            }
            // It can do nothing but talk: its filter is on.
            let helper = try Self.announcer(of: server)
            let status = FileManager.default.contents(atPath: "/proc/\(helper)/status") ?? Data()
            #expect(String(decoding: status, as: UTF8.self).contains("\nSeccomp:\t2\n"))
            let witness = Witness(of: helper)
            kill(helper, SIGKILL)
            try await witness.ended()
            try await avahi.waitForScanners { $0 == first }
            #expect(try Self.announcer(of: server) != helper)
            try await avahi.restart()
            try await avahi.waitForScanners { $0 == first }
            // A driver that dies is no scanner that goes.
            let driver = try #require(try await bench.client.devices().first?.pid)
            kill(driver, SIGKILL)
            try await bench.waitForDevice { $0.state == .running && $0.restarts == 1 }
            #expect(try await avahi.scanners() == first)
            // The cable.
            _ = try await bench.emulator?.stop()
            try await avahi.waitForScanners { $0.isEmpty }
            _ = try await server.stop()
            try await bench.stop()
            try await avahi.stop()
        }

        @Test func `a name that is taken is another one, and nothing is announced without being wanted`() async throws {
            let avahi = try await AvahiSession.start()
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "1"])
            // It serves, and says nothing of it.
            let silent = try Programs.start(
                "userdriver-escl",
                ["--runtime-dir", bench.runtime, "--port", "19000", "--state-file", bench.runtime + "/silent", "--no-dns-sd"],
                environment: avahi.environment)
            try await silent.waitForOutput { $0.contains("\n") }
            let one = try await Self.serve(bench, avahi)
            let first = try await avahi.waitForScanners { $0.count == 1 }
            #expect(!first[0].contains(" 190"), "\(first)")
            let rival = try await Bench.start(emulating: "scanner", ["--sheets", "1"])
            let two = try await Self.serve(rival, avahi)
            let both = try await avahi.waitForScanners { $0.count == 2 }
            #expect(Set(both.map { $0.prefix { $0 != " " } }).count == 2, "\(both)")
            for server in [silent, one, two] { _ = try await server.stop() }
            try await avahi.waitForScanners { $0.isEmpty }
            try await bench.stop()
            try await rival.stop()
            try await avahi.stop()
        }

        /// `userdriver-announce` by itself, with a pipe to write lines into.
        private static func announcer(_ avahi: AvahiSession) throws -> (running: Running, input: FileHandle) {
            let pipe = Pipe()
            let running = try Running(
                path: Programs.folder + "/userdriver-announce", name: "userdriver-announce", arguments: [],
                environment: avahi.environment, input: pipe.fileHandleForReading.fileDescriptor)
            return (running, pipe.fileHandleForWriting)
        }

        @Test func `one port carries a scanner and a printer`() async throws {
            let avahi = try await AvahiSession.start()
            let (announcer, input) = try Self.announcer(avahi)
            let lines = [
                "announce\t_uscan._tcp\t8742\tThing (USB)\ttxtvers=1\trs=eSCL",
                "announce\t_ipp._tcp,_print,_universal\t8742\tThing (USB)\ttxtvers=1\trp=ipp/print\tURF=V1.4,W8",
                "announce\t_ipp._tcp\t8743\tOther (USB)\ttxtvers=1\trp=ipp/print",
            ]
            try input.write(contentsOf: Data((lines.joined(separator: "\n") + "\n").utf8))
            let printers = try await avahi.waitForServices("_ipp._tcp") { $0.count == 2 }
            let printer = try #require(printers.first { $0.hasPrefix("Thing\\032\\040USB\\041 8742 ") })
            for string in ["txtvers=1", "rp=ipp/print", "URF=V1.4,W8"] { #expect(printer.contains("\"\(string)\""), "\(printer)") }
            #expect(printers.contains { $0.hasPrefix("Other\\032\\040USB\\041 8743 ") })
            try await avahi.waitForScanners { $0.count == 1 && $0[0].hasPrefix("Thing\\032\\040USB\\041 8742 ") }
            // Clients of either kind look for those only that are of it.
            for subtype in ["_print", "_universal"] {
                try await avahi.waitForServices("\(subtype)._sub._ipp._tcp") { $0 == [printer] }
            }
            try input.write(contentsOf: Data("withdraw\t_ipp._tcp\t8742\n".utf8))
            try await avahi.waitForServices("_ipp._tcp") { $0.count == 1 && $0[0].contains(" 8743 ") }
            #expect(try await avahi.scanners().count == 1, "the scanner stays")
            try input.close()
            #expect(try await announcer.finish().status == .exited(status: 0))
            try await avahi.stop()
        }

        @Test func `a service of no known kind is refused`() async throws {
            let avahi = try await AvahiSession.start()
            let lines = [
                "announce\t_http._tcp\t1\tn\ta=b", "announce\t_ipp._tcp,_cups\t1\tn\ta=b",
                "announce\t_ipp._tcp,_print,_print\t1\tn\ta=b", "announce\t_uscan._tcp,_print\t1\tn\ta=b",
                "announce\t_ipp._tcp,\t1\tn\ta=b", "announce\t1\tn\ta=b", "announce\t_ipp._tcp\t0\tn\ta=b",
                "announce\t_ipp._tcp\t1\tn\tab", "withdraw\t1", "withdraw\t_ipp._tcp,_print\t1", "withdraw\t_ipp._tcp\t1\tx",
            ]
            for line in lines {
                let (announcer, input) = try Self.announcer(avahi)
                try input.write(contentsOf: Data((line + "\n").utf8))
                #expect(try await announcer.finish().status == .exited(status: 2), "\(line)")
            }
            try await avahi.stop()
        }

        @Test(.enabled(if: scanimageIsThere, "sane-airscan and sane-utils are not installed"))
        func `SANE finds the scanner, and scans with it`() async throws {
            let avahi = try await AvahiSession.start()
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "1"])
            let server = try await Self.serve(bench, avahi)
            try await avahi.waitForScanners { $0.count == 1 }
            let settings = avahi.folder + "/sane"
            try FileManager.default.createDirectory(atPath: settings, withIntermediateDirectories: true)
            try "[options]\nws-discovery = off\n".write(toFile: settings + "/airscan.conf", atomically: true, encoding: .utf8)
            try "airscan\n".write(toFile: settings + "/dll.conf", atomically: true, encoding: .utf8)
            func scanimage(_ arguments: String...) async throws -> Programs.Result {
                try await Running(
                    path: "/usr/bin/scanimage", name: "scanimage", arguments: arguments,
                    environment: avahi.environment.merging(["SANE_CONFIG_DIR": settings]) { $1 }
                ).finish()
            }
            let list = try await scanimage("-L").text
            #expect(list.contains("`airscan:e0:UserDriver Emulated Scanner (USB)'"), "\(list)")
            let page = avahi.folder + "/page.jpg"
            let scan = try await scanimage(
                "-d", "airscan:e0:UserDriver Emulated Scanner (USB)", "--resolution", "100", "--format=jpeg", "-o", page)
            #expect(scan.status == .exited(status: 0), "\(scan.errors)")
            #expect(FileManager.default.contents(atPath: page)?.starts(with: [0xff, 0xd8]) == true)
            _ = try await server.stop()
            try await bench.stop()
            try await avahi.stop()
        }
    }
}
