// Scanning as a person does: the emulated scanner, the daemon, the driver in its sandbox, and the
// command.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite struct ScannerTests {
        /// A line that `scan --json` prints of a page.
        private struct Page: Decodable {
            var page: Int
            var sheet: Int
            var bytes: Int
            var sha256: String?
            var file: String?
        }

        private struct Place {
            let bench: Bench
            let folder: String

            func scan(_ arguments: String...) async throws -> Programs.Result {
                try await Programs.run(
                    "userdriver", ["scan"] + arguments, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
            }
        }

        private func place(_ options: String...) async throws -> Place {
            let bench = try await Bench.start(emulating: "scanner", options)
            return Place(bench: bench, folder: bench.runtime)
        }

        private func pages(_ result: Programs.Result) throws -> [Page] {
            try result.text.split(separator: "\n").dropLast().map { try JSONDecoder().decode(Page.self, from: Data($0.utf8)) }
        }

        @Test func `three sheets become three files`() async throws {
            let place = try await place("--sheets", "3")
            let pattern = place.folder + "/page-%d.jpg"
            let result = try await place.scan("--source", "adf", "--resolution", "75", "--json", "-o", pattern)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let pages = try pages(result)
            #expect(pages.map(\.sheet) == [1, 2, 3])
            for page in pages {
                let bytes = try #require(FileManager.default.contents(atPath: place.folder + "/page-\(page.page).jpg"))
                #expect(bytes.count == page.bytes && bytes.starts(with: [0xff, 0xd8]) && bytes.suffix(2) == Data([0xff, 0xd9]))
            }
            #expect(try await place.bench.client.objects().isEmpty, "what is on the disk is not kept")
            // There is nothing left.
            let empty = try await place.scan("--source", "adf", "-o", pattern)
            #expect(empty.status == .exited(status: 1) && empty.errors.contains("no paper"), "\(empty.errors)")
            // The flatbed's page, as a picture of another kind, and as a document.
            let flat = try await place.scan("--source", "flatbed", "--resolution", "75", "-o", place.folder + "/flat.png")
            #expect(flat.status == .exited(status: 0) && flat.errors.isEmpty && flat.text.isEmpty, "\(flat.errors)")
            #expect(FileManager.default.contents(atPath: place.folder + "/flat.png")?.starts(with: [0x89, 0x50]) == true)
            let book = try await place.scan("--source", "flatbed", "--resolution", "75", "-o", place.folder + "/book.pdf")
            #expect(book.status == .exited(status: 0), "\(book.errors)")
            #expect(FileManager.default.contents(atPath: place.folder + "/book.pdf")?.starts(with: Data("%PDF-1.4".utf8)) == true)
            try await place.bench.stop()
        }

        @Test func `the driver is killed while a page comes, and nobody notices`() async throws {
            let place = try await place("--sheets", "3", "--bytes-per-second", "100000")
            let running = try Programs.start(
                "userdriver",
                ["scan", "--source", "adf", "--resolution", "75", "--json", "-o", place.folder + "/page-%d.jpg"],
                environment: ["USERDRIVER_RUNTIME_DIR": place.bench.runtime])
            for _ in 0..<3 {
                let client = place.bench.client
                let before = try await client.objects().reduce(0) { $0 + $1.length }
                while try await client.objects().reduce(0, { $0 + $1.length }) <= before { try await Task.sleep(for: .milliseconds(5)) }
                if let pid = try await client.devices().first?.pid, pid > 0 { kill(pid, SIGKILL) }
            }
            let result = try await running.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(try pages(result).map(\.sheet) == [1, 2, 3])
            #expect(try await place.bench.client.devices().first?.restarts ?? 0 >= 3)
            try await place.bench.stop()
        }

        @Test func `a jam has a word and a status`() async throws {
            let place = try await place("--sheets", "3", "--fault", "jam@2")
            let result = try await place.scan("--source", "adf", "--resolution", "75", "-o", place.folder + "/page-%d.jpg")
            #expect(result.status == .exited(status: 1))
            #expect(result.errors.contains("jammed") && result.errors.contains("1 page is whole"), "\(result.errors)")
            #expect(FileManager.default.fileExists(atPath: place.folder + "/page-1.jpg"))
            try await place.bench.stop()
        }

        @Test func `what is no file is written to and stays, and a link is followed`() async throws {
            let place = try await place("--sheets", "1")
            let (full, link, file) = (place.folder + "/full.jpg", place.folder + "/link.jpg", place.folder + "/page.jpg")
            // A device by another name; where only root may make one, /dev/full itself.
            let isOwn = mknod(full, S_IFCHR | 0o666, dev_t(1 << 8 | 7)) == 0
            let device = isOwn ? full : "/dev/full"
            let refused = try await place.scan("--source", "flatbed", "--resolution", "75", "--format", "jpeg", "-o", device)
            #expect(refused.status == .exited(status: 1) && refused.errors.contains("No space left"), "\(refused.errors)")
            var status = stat()
            #expect(stat(device, &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
            #expect(FileManager.default.createFile(atPath: file, contents: Data("before".utf8)))
            #expect(symlink("page.jpg", link) == 0)
            let result = try await place.scan("--source", "flatbed", "--resolution", "75", "-o", link)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
            #expect(FileManager.default.contents(atPath: file)?.starts(with: [0xff, 0xd8]) == true)
            try await place.bench.stop()
        }

        @Test func `Ctrl-C ends a scan, and the next one has the scanner`() async throws {
            let place = try await place("--sheets", "5", "--bytes-per-second", "60000")
            let running = try place.bench.startUserdriver(
                "scan", "--source", "adf", "--resolution", "75", "--json", "-o", place.folder + "/p-%d.jpg")
            try await running.waitForOutput { $0.contains("\"page\":1") }
            let stopped = try await running.stop(SIGINT)
            #expect(stopped.status == .exited(status: 1), "\(stopped.errors)")
            #expect(stopped.text.contains("\"reason\":\"cancelled\""), "\(stopped.text)")
            let next = try await place.scan("--source", "flatbed", "--resolution", "75", "-o", place.folder + "/flat.jpg")
            #expect(next.status == .exited(status: 0), "\(next.errors)")
            try await place.bench.stop()
        }

        @Test func `a scan that nobody knows is not begun`() async throws {
            let place = try await place("--sheets", "1")
            let result = try await place.scan("--job", "deadbeefdeadbeefdeadbeef", "-o", place.folder + "/p-%d.jpg")
            #expect(result.status == .exited(status: 1) && result.errors.contains("There is no scan deadbeef"), "\(result.errors)")
            let sheet = try await place.scan("--source", "adf", "--resolution", "75", "-o", place.folder + "/p-%d.jpg")
            #expect(sheet.status == .exited(status: 0), "the feeder has its sheet: \(sheet.errors)")
            try await place.bench.stop()
        }

        @Test func `there may be no scanner`() async throws {
            let bench = try await Bench.startWithoutDevices()
            let result = try await bench.userdriver("scan", "-o", "page.jpg")
            #expect(result.status == .exited(status: 3), "\(result.errors)")
            try await bench.stop()
        }
    }
}
