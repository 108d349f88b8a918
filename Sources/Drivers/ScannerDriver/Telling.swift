// eSCL's words in those of io.userdriver.scanner.

import ESCL
import ScannerInterface

extension ScanSource {
    var escl: ESCLSource {
        switch self {
        case .flatbed: .platen
        case .feeder, .automatic: .feeder
        case .feederDuplex: .duplex
        }
    }
}

extension ScanMode {
    var escl: ESCLColorMode {
        switch self {
        case .color: .color
        case .gray: .gray
        case .blackAndWhite: .blackAndWhite
        }
    }
}

extension ESCLCapabilities {
    func told(name: String) -> ScannerCapabilities {
        let sources = ScanSource.allCases.compactMap { source -> ScannerCapabilities.Source? in
            guard source != .automatic, let input = self.sources[source.escl] else { return nil }
            return ScannerCapabilities.Source(
                source: source, minimum: .init(width: input.minimumWidth, height: input.minimumHeight),
                maximum: .init(width: input.maximumWidth, height: input.maximumHeight),
                modes: ScanMode.allCases.filter { input.colorModes.contains($0.escl) }, formats: input.formats,
                resolutions: input.resolutions.shown)
        }
        return ScannerCapabilities(name: model ?? name, serial: serialNumber, sources: sources)
    }
}

extension ESCLStatus {
    var told: ScannerState {
        let state: ScannerState.State =
            switch self.state {
            case .idle: .idle
            case .processing: .processing
            case .testing: .testing
            case .stopped: .stopped
            case .down: .down
            case .unknown: .unknown
            }
        let feeder: ScannerState.Feeder? = self.feeder.map { feeder in
            switch feeder {
            case .loaded: .loaded
            case .empty: .empty
            case .jam: .jam
            case .doorOpen: .open
            case .processing: .processing
            case .unknown: .unknown
            }
        }
        return ScannerState(state: state, feeder: feeder)
    }
}
