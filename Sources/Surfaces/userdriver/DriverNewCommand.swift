// `userdriver driver new`: a package for a driver's author to begin with.

import ArgumentParser
import FileDescriptors
import Glibc

struct DriverNewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Create a package for a new driver.",
        discussion: """
            Creates the folder NAME with a driver in Swift that builds and runs at once, an emulated device for it, an interface \
            that programs can call, and tests that kill the driver while it is in use. Change it until it drives your device. \
            Needs Swift and UserDriver's source: the checkout in USERDRIVER_CHECKOUT, the one this program was built in, or what \
            the package userdriver-dev installs.

            Example:
              userdriver driver new thermo
              cd thermo && make test
              make run
            """)

    @Argument(help: ArgumentHelp("Its name: lower-case letters, digits and dashes.", valueName: "name"))
    var name: String

    func validate() throws {
        if let problem = DriverTemplate.problem(with: name) { throw ValidationError(problem) }
    }

    func run() throws {
        let places = try FrameworkPlaces.find()
        try Self.write(DriverTemplate(name: name, framework: places.source, programs: places.programs).contents, into: name)
        try Terminal.print(
            """
            \(name) is ready. Next:
              cd \(name)
              make test     builds it, and kills it while it is in use
              make run      has it drive the emulated device
            Start with driver.yaml and Sources/\(name)-driver/Driver.swift.
            """)
    }

    /// Writes into a folder that was not there before. What has been written when something goes
    /// wrong is said to be there.
    private static func write(_ files: [(path: String, text: String)], into folder: String) throws {
        guard mkdir(folder, 0o777) == 0 else { throw failure("The folder \(folder) can't be created", errno) }
        for (path, text) in files {
            var parent = folder
            for part in path.split(separator: "/").dropLast() {
                parent += "/" + part
                guard mkdir(parent, 0o777) == 0 || errno == EEXIST else { throw failure("The folder \(parent) can't be created", errno) }
            }
            try write(text, to: folder + "/" + path)
        }
    }

    private static func write(_ text: String, to path: String) throws {
        guard let file = OwnedDescriptor(opened: open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)) else {
            throw failure("\(path) can't be written", errno)
        }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { throw failure("\(path) can't be written", errno) }
            rest = rest.dropFirst(max(0, count))
        }
    }

    private static func failure(_ what: String, _ number: Int32) -> CommandFailure {
        CommandFailure(
            "\(what): \(String(cString: strerror(number))).",
            status: [EACCES, EPERM, EROFS].contains(number) ? ExitStatus.notPermitted : ExitStatus.failed)
    }
}

/// Where a driver's package finds what it is built with, and the programs that run it.
struct FrameworkPlaces {
    let source: String
    let programs: String

    /// A checkout that the environment names, the one that this program was built in, what is
    /// installed beside it.
    static func find() throws -> FrameworkPlaces {
        let programs = try ProgramFolder.path()
        if let variable = getenv("USERDRIVER_CHECKOUT"), variable.pointee != 0 {
            let named = String(cString: variable)
            guard let checkout = absolute(named), isFramework(checkout) else {
                throw CommandFailure("USERDRIVER_CHECKOUT is \(named), but UserDriver's source is not there.")
            }
            return FrameworkPlaces(source: checkout, programs: checkout + "/.build/release")
        }
        // PREFIX/bin, or CHECKOUT/.build/TRIPLE/release.
        let places = ["/../share/userdriver/source", "/../../..", "/../.."]
        guard let source = places.lazy.compactMap({ absolute(programs + $0) }).first(where: isFramework) else {
            throw CommandFailure(
                "UserDriver's source is not installed: install userdriver-dev, or set USERDRIVER_CHECKOUT to a checkout.")
        }
        return FrameworkPlaces(source: source, programs: programs)
    }

    private static func isFramework(_ folder: String) -> Bool {
        access(folder + "/Package.swift", R_OK) == 0 && access(folder + "/Sources/Framework/UserDriver", R_OK) == 0
    }

    private static func absolute(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
