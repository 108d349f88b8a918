// Chromium without a screen, and the page in it that says which pictures of a camera's it sees.

import Foundation
import Glibc
import Pictures
import Testing

/// `Tests/Chromium/camera.html`, in a browser of its own.
final class ChromiumPage: Sendable {
    static let program = "/usr/bin/chromium"
    static let isInstalled = access(program, X_OK) == 0
    static let files =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Chromium").path

    /// What the page has said so far.
    struct Account: Sendable {
        private struct Line: Decodable {
            var again: String?
            var label: String?
            var size: String?
            var stamps: [[String]]?
            var spoiled: Int?
            var presented: Int?
            var dropped: UInt64?
            var passed: Int?
            var event: String?
        }

        /// As the page's list of cameras has it.
        var label = ""
        var size = ""
        /// Of each picture that came; all bytes of every tenth were compared.
        var stamps: [FrameStamp] = []
        var spoiled = 0
        /// That the page's video has shown.
        var presented = 0
        /// That Chromium left out.
        var dropped: UInt64 = 0
        /// That Chromium had, and the page had not taken: it was too slow, or they were about to be.
        var passed = 0
        /// What happened to the track.
        var events: [String] = []
        /// Why the page began anew before there was a picture.
        var beginnings: [String] = []

        /// Pictures of the camera's that did not come.
        var missing: UInt64 { zip(stamps, stamps.dropFirst()).reduce(0) { $0 + $1.0.framesMissing(before: $1.1) } }

        /// From Chromium's log, which has the console.
        init(log: String) {
            let decoder = JSONDecoder()
            for text in log.split(separator: "\n") {
                guard let start = text.range(of: "\"camera: ")?.upperBound,
                    let end = text.range(of: "\", source: ", options: .backwards)?.lowerBound, start < end,
                    let line = try? decoder.decode(Line.self, from: Data(text[start..<end].utf8))
                else { continue }  // Chromium's own words, or a line that is being written
                label = line.label ?? label
                size = line.size ?? size
                stamps += (line.stamps ?? []).compactMap(Self.stamp)
                spoiled += line.spoiled ?? 0
                presented = line.presented ?? presented
                dropped = line.dropped ?? dropped
                passed = line.passed ?? passed
                if let event = line.event { events.append(event) }
                if let why = line.again { beginnings.append(why) }
            }
        }

        private static func stamp(_ words: [String]) -> FrameStamp? {
            guard words.count == 4, let number = UInt64(words[0]), let time = UInt64(words[1]), let interval = UInt32(words[2]),
                let stream = UInt32(words[3])
            else { return nil }
            return FrameStamp(number: number, captureTime: time, intervalNanoseconds: interval, stream: stream)
        }
    }

    private let browser: Running
    private let folder: String

    private init(folder: String, _ browser: Running) {
        self.folder = folder
        self.browser = browser
    }

    /// A browser that keeps all in this folder, and asks nobody for what is not on this machine.
    private static func arguments(_ folder: String, feature: String) -> [String] {
        // For root Chromium has no sandbox.
        (geteuid() == 0 ? ["--no-sandbox"] : []) + [
            "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=\(folder)", "--enable-logging=stderr",
            // Whether the page may have a camera is a question of Chromium's own.
            "--use-fake-ui-for-media-stream", feature, "file://\(files)/camera.html",
        ]
    }

    /// The page sees cameras through the portal and PipeWire.
    static func start(in session: PipeWireSession) throws -> ChromiumPage {
        let folder = try Bench.makeRuntime()
        // A script can't be executed by a descriptor that is closed then.
        let command = [program] + arguments(folder, feature: "--enable-features=WebRtcPipeWireCamera")
        return ChromiumPage(folder: folder, try session.start("sh", command))
    }

    /// The page sees cameras as /dev/videoN, through the library that `userdriver v4l2` loads.
    static func start(preloadedFor bench: Bench) throws -> ChromiumPage {
        let folder = try Bench.makeRuntime()
        let command = ["v4l2", "--", program] + arguments(folder, feature: "--disable-features=WebRtcPipeWireCamera")
        let environment = [
            "USERDRIVER_RUNTIME_DIR": bench.runtime, "HOME": folder, "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
        ]
        return ChromiumPage(folder: folder, try Programs.start("userdriver", command, environment: environment))
    }

    /// Until `count` more pictures have come, and the page has shown some of them.
    @discardableResult
    func waitForPictures(_ count: Int) async throws -> Account {
        let before = Account(log: browser.errors)
        let log = try await browser.waitForOutput(errors: true, timeout: .seconds(60)) { log in
            let now = Account(log: log)
            return now.stamps.count + now.spoiled >= before.stamps.count + before.spoiled + count && now.presented > before.presented
        }
        return Account(log: log)
    }

    /// Until the page has begun anew so many times for want of a picture.
    func waitForBeginnings(_ count: Int) async throws -> Account {
        let log = try await browser.waitForOutput(errors: true, timeout: .seconds(60)) { Account(log: $0).beginnings.count >= count }
        return Account(log: log)
    }

    func stop() async throws {
        _ = try await browser.stop()
        try? FileManager.default.removeItem(atPath: folder)  // a leftover in a temporary folder fails nobody
    }
}
