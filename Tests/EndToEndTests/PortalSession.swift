// The portal of a session, by which programs in sandboxes and browsers ask for a camera, and a person
// who says yes, or no.

import Foundation
import Glibc
import Testing

/// `stop` ends everything it started.
final class PortalSession: Sendable {
    private static let portalProgram = "/usr/libexec/xdg-desktop-portal"
    private static let storeProgram = "/usr/libexec/xdg-permission-store"

    /// Why there can be none.
    static let obstacle: String? = {
        let programs = [portalProgram, storeProgram]
        if let missing = programs.first(where: { access($0, X_OK) != 0 }) { return "\(missing) is not installed" }
        let modules = ["dbus", "gi"].map { "/usr/lib/python3/dist-packages/\($0)/__init__.py" }
        if let missing = modules.first(where: { access($0, R_OK) != 0 }) { return "Python's \(missing) is not installed" }
        return nil
    }()

    private let person: Running
    private let services: [Running]

    /// In a session that has PipeWire, which the portal connects to as it starts.
    /// - Parameter answer: the person's, to whatever the portal asks.
    init(in session: PipeWireSession, answer: Bool = true) async throws {
        let name = "userdriver"
        let folder = session.folder + "/portals"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "[portal]\nDBusName=org.freedesktop.impl.portal.desktop.\(name)\nInterfaces=org.freedesktop.impl.portal.Access\nUseIn=\(name)\n"
            .write(toFile: "\(folder)/\(name).portal", atomically: true, encoding: .utf8)
        // From 1.17 on the portal goes by this file.
        try "[preferred]\ndefault=\(name)\n".write(toFile: "\(folder)/portals.conf", atomically: true, encoding: .utf8)
        person = try session.start("/usr/bin/python3", [ChromiumPage.files + "/access.py", answer ? "yes" : "no"])
        try await person.waitForOutput { $0.contains("here\n") }
        services = [try session.start(Self.storeProgram, []), try session.start(Self.portalProgram, [])]
        try await person.waitForOutput { $0.contains("ready\n") }
    }

    /// What the person was asked.
    var questions: [Substring] {
        String(decoding: person.output, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("asked: ") }
    }

    func waitForQuestion() async throws { try await person.waitForOutput { $0.contains("asked: ") } }

    func stop() async throws {
        for service in services.reversed() { _ = try await service.stop() }
        _ = try await person.stop()
    }
}
