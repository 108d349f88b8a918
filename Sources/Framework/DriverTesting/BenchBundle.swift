// A driver's bundle, put together of its package for a bench.

import Glibc

/// Where the parts of a bundle are.
struct BenchBundle {
    let manifest: String
    let executable: String
    let name: String
    private let folder: String

    /// - Parameter package: the folder of `driver.yaml`, or a path in it.
    init(package: String) throws {
        var folder = package
        while access(folder + "/driver.yaml", R_OK) != 0 {
            guard let slash = folder.lastIndex(of: "/"), slash > folder.startIndex else {
                throw DriverBenchFailure("There is no driver.yaml in \(package) or in any folder above it.")
            }
            folder = String(folder[..<slash])
        }
        self.folder = folder
        manifest = try BenchFiles.text(folder + "/driver.yaml")
        guard let executable = Self.member("executable", of: manifest), let id = Self.member("id", of: manifest) else {
            throw DriverBenchFailure("\(folder)/driver.yaml does not name an id and an executable.")
        }
        name = id.split(separator: ".").last.map(String.init) ?? id
        let places = [folder, try BenchFolder.ownExecutable()].map { "\($0)/\(executable)" }
        guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
            throw DriverBenchFailure("The driver's executable is neither \(places[0]) nor \(places[1]). Has it been built?")
        }
        self.executable = found
    }

    /// The value of a member that stands on a line of its own, as id and executable do.
    private static func member(_ name: String, of manifest: String) -> String? {
        guard let line = manifest.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }) else { return nil }
        let value = line.dropFirst(name.count + 1).prefix { $0 != "#" }.filter { $0 != " " && $0 != "\"" && $0 != "'" }
        return value.isEmpty || value.contains("/") ? nil : String(value)
    }

    /// The bundle's path.
    func assemble(in target: String) throws -> String {
        let bundle = "\(target)/\(name).driver"
        try BenchFiles.makeFolder(target)
        try BenchFiles.makeFolder(bundle)
        try BenchFiles.copy(folder + "/driver.yaml", to: bundle + "/driver.yaml")
        let interfaces = BenchFiles.names(in: folder + "/interfaces")
        if !interfaces.isEmpty { try BenchFiles.makeFolder(bundle + "/interfaces") }
        for name in interfaces { try BenchFiles.copy("\(folder)/interfaces/\(name)", to: "\(bundle)/interfaces/\(name)") }
        let name = executable.split(separator: "/").last.map(String.init) ?? ""
        try BenchFiles.copy(executable, to: bundle + "/" + name, mode: 0o755)
        return bundle
    }
}

/// A folder of a bench's own.
final class BenchFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/driver-bench-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw DriverBenchFailure("No folder can be created in /tmp: \(String(cString: strerror(errno))).")
        }
        path = String(cString: made)
    }

    deinit { remove() }

    func remove() { BenchFiles.removeTree(path) }

    /// The folder of the test's executable.
    static func ownExecutable() throws -> String {
        guard let path = realpath("/proc/self/exe", nil) else {
            throw DriverBenchFailure("/proc/self/exe: \(String(cString: strerror(errno))).")
        }
        defer { free(path) }
        let executable = String(cString: path)
        return executable.lastIndex(of: "/").map { String(executable[..<$0]) } ?? "."
    }
}
