// The drivers that are installed, and those that are there and may not run.

import Glibc
package import Spawn
import Trust
package import Wire

package struct DriverCatalog: Sendable {
    static let maximumBundles = 256
    package private(set) var bundles: [DriverBundle] = []
    /// Bundles that can't be used, and why.
    package private(set) var problems: [BundleError] = []

    package init(bundles: [DriverBundle] = []) { self.bundles = bundles }

    /// Reads every `NAME.driver` in the folders; a folder that is itself one is taken as such. Of two with the same id the first counts.
    ///
    /// Drivers that have not changed since `earlier` are the same objects as there.
    package init(folders: [String], trust: DriverTrust, earlier: DriverCatalog? = nil, sealed: [[UInt8]: SealedExecutable] = [:]) {
        for folder in folders {
            for path in Self.bundlePaths(in: folder, problems: &problems) {
                guard bundles.count < Self.maximumBundles else {
                    problems.append(BundleError(path: path, problem: "more than \(Self.maximumBundles) drivers"))
                    return
                }
                do throws(BundleError) {
                    let bundle = try DriverBundle(path: path, trust: trust, sealed: sealed)
                    if let other = bundles.first(where: { $0.manifest.id == bundle.manifest.id }) {
                        if other.path != path {
                            problems.append(
                                BundleError(
                                    path: path, problem: "\(other.path) has the same id, \(bundle.manifest.id)", manifest: bundle.manifest))
                        }
                    } else if let disagreement = disagreement(of: bundle) {
                        problems.append(BundleError(path: path, problem: disagreement, manifest: bundle.manifest))
                    } else {
                        bundles.append(earlier?.bundles.first { $0.isSame(as: bundle) } ?? bundle)
                    }
                } catch {
                    problems.append(error)
                }
            }
        }
    }

    /// Two drivers' interfaces of one name are one interface, or the second driver is not used.
    private func disagreement(of bundle: DriverBundle) -> String? {
        for interface in bundle.interfaces {
            for other in bundles {
                guard let known = other.interface(interface.name), !known.text.utf8.elementsEqual(interface.text.utf8) else { continue }
                return
                    "its interface \(interface.name) is not that of \(other.path): drivers that answer the same interface must have the same "
                    + "definition, to the letter"
            }
        }
        return nil
    }

    /// Every interface that a driver answers, each once.
    package var interfaces: [VarlinkInterface] {
        var names: Set<String> = []
        return bundles.flatMap(\.interfaces).filter { names.insert($0.name).inserted }
    }

    /// Why a device has no driver, for a person: those that might be its and may not run are named.
    package func absence(of driverFor: MatchSubject) -> String {
        let refused = problems.filter { $0.manifest.map { $0.suitability(for: driverFor) != nil } ?? true }
        guard !refused.isEmpty else { return "No driver is installed for this device." }
        let shown = refused.prefix(3).map { "\($0)" } + (refused.count > 3 ? ["and \(refused.count - 3) more"] : [])
        return "No driver may run for this device. Not used: \(shown.joined(separator: "; "))"
    }

    /// What `userdriver driver list` prints.
    package var statuses: [DriverStatus] {
        bundles.map { bundle in
            DriverStatus(
                id: bundle.manifest.id, version: bundle.manifest.version, kind: bundle.manifest.kind, path: bundle.path, state: .ready,
                signer: bundle.verdict.signer?.name, key: bundle.verdict.signer?.key.fingerprint,
                reason: bundle.verdict.warnings.first, provides: bundle.interfaces.map(\.name))
        }
            + problems.map { problem in
                DriverStatus(
                    id: problem.manifest?.id ?? "", version: problem.manifest?.version ?? "", kind: problem.manifest?.kind ?? "",
                    path: problem.path, state: .refused, reason: problem.problem)
            }
    }

    private static func bundlePaths(in folder: String, problems: inout [BundleError]) -> [String] {
        if folder.hasSuffix(DriverBundle.suffix) { return [folder] }
        guard let listing = opendir(folder) else {
            problems.append(BundleError(path: folder, errno: errno))
            return []
        }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(DriverBundle.suffix), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { folder + "/" + $0 }
    }
}

extension DriverBundle {
    /// The same driver in the same place, trusted as before.
    package func isSame(as other: DriverBundle) -> Bool { contents == other.contents && path == other.path && verdict == other.verdict }
}
