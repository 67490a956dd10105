/** A cluster with users and roles, as tests log in to it. @module */
import { AccessControl } from "../../../shared/security/access_control.ts";
import { AuditLog } from "../../../shared/security/audit_log.ts";
import { createAuthority } from "../../../shared/security/certificate_authority.ts";
import { LoginThrottle } from "../../../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../../../shared/security/login/password.ts";
import {
  addUser,
  newSecurityDocument,
  type SecurityDocument,
  setRole,
} from "../../../shared/security/security_document.ts";
import { HASH, OTHER_HASH } from "../data/security_samples.ts";
import { ManualClock } from "../doubles/manual_clock.ts";

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
    const { certificate, key } = await createAuthority("kv", Date.UTC(2026, 10, 29));
    const authority = { certificate, key: key.reveal() };
    const first = newSecurityDocument(authority, { name: "root", passwordHash: OTHER_HASH });
    const role = { database: "default", prefix: "app:", right: "read" } as const;
    const withRole = setRole(first, { name: "app", grants: [role] });
    return new AccessWorld(
      addUser(withRole, { name: "alice", passwordHash: HASH, roles: ["app"] }),
    );
  }

  change(change: (document: SecurityDocument) => SecurityDocument): void {
    this.document = change(this.document);
    this.access.adopt(this.document);
  }
}
