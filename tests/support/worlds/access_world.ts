/** A cluster with users and roles, as tests log in to it. @module */
import { AccessControl } from "../../../shared/security/access_control.ts";
import { AuditLog } from "../../../shared/security/audit_log.ts";
import { LoginThrottle } from "../../../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../../../shared/security/login/password.ts";
import { type SecurityDocument } from "../../../shared/security/security_document.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { securedDocument } from "./secured_wire.ts";

/** A cluster in which alice may read what begins with `app:`. */
export class AccessWorld {
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  readonly access: AccessControl;
  document: SecurityDocument;

  private constructor(document: SecurityDocument) {
    this.document = document;
    this.access = new AccessControl({
      clock: this.clock,
      hasher: new PasswordHasher(),
      throttle: new LoginThrottle(),
      audit: new AuditLog(this.clock, (line) => this.lines.push(line)),
    }, document);
  }

  static async open(): Promise<AccessWorld> {
    return new AccessWorld(await securedDocument(["read"]));
  }

  change(change: (document: SecurityDocument) => SecurityDocument): void {
    this.document = change(this.document);
    this.access.adopt(this.document);
  }
}
