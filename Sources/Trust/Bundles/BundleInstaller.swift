// Puts drivers into a folder of drivers, in one step each, and takes them back.

import CLinux
import FileDescriptors
import Glibc
import Wire
import Spawn
import Trust

/// A folder that holds drivers. The version before is kept beside, hidden: `.NAME.driver.previous`.
package struct BundleInstaller: Sendable {
    package struct Installed: Sendable {
        package var bundle: DriverBundle
        /// The version that was there before, and is kept.
        package var previousVersion: String?
        /// It was there already, byte for byte.
        package var wasThere = false
    }

    package let folder: String

    package init(folder: String) { self.folder = folder }

    /// Verifies the bundle at `source` and puts exactly the bytes that were verified into the folder.
    package func install(from source: String, trust: DriverTrust) throws(BundleError) -> Installed {
        let bundle = try DriverBundle(path: source, trust: trust)
        try BundleFile.makeFolder(folder)
        return try locked { () throws(BundleError) in
            let target = path(bundle.manifest.name)
            if let there = present(target, trust), there.contents == bundle.contents, there.verdict == bundle.verdict {
                return Installed(bundle: there, wasThere: true)
            }
            let new = "\(folder)/.\(bundle.manifest.name)\(DriverBundle.suffix).new"
            try BundleFile.remove(new)
            do throws(BundleError) {
                try copy(bundle, to: new)
            } catch {
                try BundleFile.remove(new)
                throw error
            }
            let previous = try put(new, in: target, keeping: hidden(bundle.manifest.name))
            return Installed(bundle: try DriverBundle(path: target, trust: trust), previousVersion: previous)
        }
    }

    /// Brings back the version before; the one that is there becomes the one before.
    package func rollback(_ name: String, trust: DriverTrust) throws(BundleError) -> Installed {
        try checkName(name)
        return try locked { () throws(BundleError) in
            let (target, previous) = (path(name), hidden(name))
            guard BundleFile.exists(previous) else {
                throw BundleError(path: target, problem: "no previous version is kept")
            }
            let version = version(target)
            let result = BundleFile.exists(target) ? clinux_exchange(target, previous) : rename(previous, target) == 0 ? 0 : -errno
            guard result == 0 else { throw BundleError(path: target, errno: -result) }
            try BundleFile.sync(folder: folder)
            do throws(BundleError) {
                return Installed(bundle: try DriverBundle(path: target, trust: trust), previousVersion: version)
            } catch {
                // A version that may not run any more is not brought back.
                let undone = clinux_exchange(target, previous)
                guard undone == 0 else { throw BundleError(path: target, errno: -undone) }
                throw BundleError(path: error.path, problem: "the previous version may not run: \(error.problem)", manifest: error.manifest)
            }
        }
    }

    /// Takes a driver away, with the version before it.
    package func remove(_ name: String) throws(BundleError) {
        try checkName(name)
        try locked { () throws(BundleError) in
            let (target, previous, away) = (path(name), hidden(name), "\(folder)/.\(name)\(DriverBundle.suffix).removed")
            guard BundleFile.exists(target) else { throw BundleError(path: target, problem: "no such driver is installed") }
            try BundleFile.remove(away)
            guard rename(target, away) == 0 else { throw BundleError(path: target, errno: errno) }
            try BundleFile.sync(folder: folder)
            try BundleFile.remove(away)
            try BundleFile.remove(previous)
        }
    }

    package func path(_ name: String) -> String { "\(folder)/\(name)\(DriverBundle.suffix)" }
    private func hidden(_ name: String) -> String { "\(folder)/.\(name)\(DriverBundle.suffix).previous" }

    private func checkName(_ name: String) throws(BundleError) {
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
            throw BundleError(path: name, problem: "a driver's name must be that of its folder, without \(DriverBundle.suffix)")
        }
    }

    /// What is there and sound. What is not sound is replaced like anything else.
    private func present(_ target: String, _ trust: DriverTrust) -> DriverBundle? {
        do throws(BundleError) { return try DriverBundle(path: target, trust: trust) } catch { return nil }
    }

    /// For a person; nothing where it can't be told.
    private func version(_ path: String) -> String? {
        do throws(BundleError) {
            let file = path + "/" + DriverBundle.manifestName
            return try BundleFile.read(file, maximum: ManifestParser.maximumBytes).map { bytes throws(BundleError) in
                try ManifestParser.parse(bytes, path: file).version
            }
        } catch {
            return nil
        }
    }

    private func copy(_ bundle: DriverBundle, to new: String) throws(BundleError) {
        let executable = try bundle.executable()
        guard mkdir(new, 0o755) == 0 else { throw BundleError(path: new, errno: errno) }
        chmod(new, 0o755)
        try BundleFile.create(new + "/" + DriverBundle.manifestName, bundle.manifestBytes, mode: 0o644)
        if let signature = bundle.signatureBytes {
            try BundleFile.create(new + "/" + DriverBundle.signatureName, signature, mode: 0o644)
        }
        if !bundle.interfaces.isEmpty {
            let folder = new + "/" + DriverManifest.Provided.folder
            guard mkdir(folder, 0o755) == 0 else { throw BundleError(path: folder, errno: errno) }
            chmod(folder, 0o755)
            for (provided, interface) in zip(bundle.manifest.provides, bundle.interfaces) {
                try BundleFile.create(new + "/" + provided.file, Array(interface.text.utf8), mode: 0o644)
            }
            try BundleFile.sync(folder: folder)
        }
        let path = new + "/" + bundle.manifest.executable
        let copied: Result<Void, BundleError>
        do {
            copied = try executable.withBytes { bytes in
                do throws(BundleError) { return .success(try BundleFile.create(path, bytes, mode: 0o755)) } catch { return .failure(error) }
            }
        } catch {
            throw BundleError(path: path, problem: "\(error)")
        }
        try copied.get()
        try BundleFile.sync(folder: new)
    }

    /// The version that was there, whose folder is now `previous`.
    private func put(_ new: String, in target: String, keeping previous: String) throws(BundleError) -> String? {
        guard BundleFile.exists(target) else {
            guard rename(new, target) == 0 else { throw BundleError(path: target, errno: errno) }
            try BundleFile.sync(folder: folder)
            return nil
        }
        let version = version(target)
        let result = clinux_exchange(new, target)
        guard result == 0 else { throw BundleError(path: target, errno: -result) }
        // From here on the new one is installed; what is left is to keep the old one.
        try BundleFile.remove(previous)
        guard rename(new, previous) == 0 else { throw BundleError(path: previous, errno: errno) }
        try BundleFile.sync(folder: folder)
        return version
    }

    /// One change at a time: two that install at once wait for each other.
    private func locked<Value>(_ work: () throws(BundleError) -> Value) throws(BundleError) -> Value {
        let opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard let directory = OwnedDescriptor(opened: opened) else { throw BundleError(path: folder, errno: errno) }
        while flock(directory.number, LOCK_EX) != 0 {
            guard errno == EINTR else { throw BundleError(path: folder, errno: errno) }
        }
        return try work()
    }
}
