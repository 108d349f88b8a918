// What is reported of a driver's death.

import Bundles
import Spawn
import Wire

extension DriverFunction {
    func material(_ exitReport: DriverIncarnation.ExitReport, _ dead: DriverIncarnation) -> CrashMaterial {
        var signal: Int32 = 0
        var status: Int32 = 0
        switch exitReport.end {
        case .exited(let number): status = number
        case .signaled(let number, _): signal = number
        }
        return CrashMaterial(
            report: CrashReport(
                number: 0, time: Timestamp.now(), deviceID: id, driver: bundle?.manifest.executable ?? "", pid: dead.processID,
                generation: generation, cause: exitReport.cause, signal: signal, exitStatus: status, lastWords: exitReport.lastLines,
                backtrace: [], decision: "", driverVersion: bundle?.manifest.version.description),
            crashPage: exitReport.crashPage, executable: dead.executable, flight: flightRecord)
    }

    func write(_ material: CrashMaterial, decision: String) {
        var material = material
        material.report.decision = decision
        dependencies.reportCrash(material)
    }
}
